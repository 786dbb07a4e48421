//! The files of the page, and the headers that keep what peers say from being more than text.

/// One file of the page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asset {
    /// Where a browser asks for it.
    pub(crate) path: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) content: &'static str,
}

/// Everything that the page consists of.
pub(crate) const ASSETS: [Asset; 3] = [
    Asset {
        path: "/",
        content_type: "text/html; charset=utf-8",
        content: include_str!("../assets/index.html"),
    },
    Asset {
        path: "/room.css",
        content_type: "text/css; charset=utf-8",
        content: include_str!("../assets/room.css"),
    },
    Asset {
        path: "/room.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("../assets/room.js"),
    },
];

/// What goes with every answer, of a file or of the interface. With this policy a browser parses no text as markup at
/// all, runs no script but the file above, and asks no other host.
pub(crate) const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_no_other_host_and_has_no_script_or_style_of_its_own() {
        let [page, style, script] = ASSETS;
        assert!(page.content.contains("room.css") && page.content.contains("room.js"));
        for asset in ASSETS {
            assert!(
                !asset.content.contains("//cdn") && !asset.content.contains("https://"),
                "{}",
                asset.path
            );
            assert!(!asset.content.contains("http://"), "{}", asset.path);
        }
        assert!(!page.content.contains("style="));
        assert!(!page.content.contains("<style") && !page.content.contains("<script>"));
        assert!(!style.content.contains("@import") && !style.content.contains("url("));
        for parses in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "eval("]
        {
            assert!(!script.content.contains(parses), "{parses}");
        }
    }
}
