use proptest::prelude::*;

use super::*;

/// `-` is missing, `1` and `2` are versions, and `!` after one says that files are damaged. A tree without a receipt is `?`.
fn plan(downloaded: &str, tree: &str, counts: &str, form: GameForm) -> EnsurePlan {
    let version = |text: &str| text.trim_end_matches('!').parse::<GameVersion>().ok();
    let [downloaded_version, tree_version] =
        [downloaded, tree].map(|text| version(text).filter(|_| !text.starts_with(['-', '?'])));
    let here = Here {
        downloaded: downloaded_version.as_ref(),
        download_whole: !downloaded.ends_with('!'),
        installed: tree != "-",
        installed_version: tree_version.as_ref(),
        tree_whole: !tree.ends_with('!'),
    };
    let wanted = version(counts);
    let counts = if counts == "any" { Counts::Any } else { Counts::This(wanted.as_ref().unwrap()) };
    decide(here, counts, form)
}

#[test]
fn only_what_is_missing_or_wrong_is_done() {
    use EnsureAction as A;
    use GameForm::{Archives, AsHere, Streamed};
    use TreeFrom as T;
    // Archives here, tree here, wanted, form: repair, download, tree from, action.
    let table = [
        ("-", "-", "2", AsHere, (false, false, T::Peers, A::Installed)),
        ("-", "-", "2", Streamed, (false, false, T::Peers, A::Installed)),
        ("-", "-", "2", Archives, (false, true, T::Archives, A::Installed)),
        ("-", "-", "any", AsHere, (false, false, T::Peers, A::Installed)),
        // A streamed game.
        ("-", "2", "2", AsHere, (false, false, T::Here, A::None)),
        ("-", "2", "2", Streamed, (false, false, T::Here, A::None)),
        ("-", "2", "2", Archives, (false, true, T::Here, A::Downloaded)),
        ("-", "1", "2", AsHere, (false, false, T::Peers, A::Updated)),
        ("-", "1", "2", Archives, (false, true, T::Archives, A::Updated)),
        ("-", "1", "any", AsHere, (false, false, T::Here, A::None)),
        ("-", "2!", "2", AsHere, (true, false, T::Here, A::Repaired)),
        ("-", "1!", "2", AsHere, (false, false, T::Peers, A::Updated)),
        ("-", "?", "2", AsHere, (false, false, T::Peers, A::Updated)),
        ("-", "?", "any", AsHere, (false, false, T::Here, A::None)),
        // A downloaded game.
        ("2", "-", "2", AsHere, (false, false, T::Archives, A::Installed)),
        ("2", "-", "2", Streamed, (false, false, T::Archives, A::Installed)),
        ("1", "-", "2", AsHere, (false, true, T::Archives, A::Installed)),
        ("1", "-", "2", Streamed, (false, false, T::Peers, A::Installed)),
        ("1", "-", "any", AsHere, (false, false, T::Archives, A::Installed)),
        ("2!", "-", "2", AsHere, (true, false, T::Archives, A::Installed)),
        ("2!", "-", "2", Streamed, (false, false, T::Peers, A::Installed)),
        // Both.
        ("2", "2", "2", AsHere, (false, false, T::Here, A::None)),
        ("2", "?", "2", AsHere, (false, false, T::Here, A::None)),
        ("1", "?", "2", AsHere, (false, true, T::Archives, A::Updated)),
        ("2", "1", "2", AsHere, (false, false, T::Archives, A::Updated)),
        ("1", "2", "2", AsHere, (false, true, T::Here, A::Updated)),
        ("1", "2", "2", Streamed, (false, false, T::Here, A::None)),
        ("1", "1", "2", AsHere, (false, true, T::Archives, A::Updated)),
        ("1", "1", "2", Streamed, (false, false, T::Peers, A::Updated)),
        ("2", "2!", "2", AsHere, (true, false, T::Here, A::Repaired)),
        ("2!", "2", "2", AsHere, (true, false, T::Here, A::Repaired)),
        ("2!", "2", "2", Streamed, (false, false, T::Here, A::None)),
        ("2!", "1", "2", AsHere, (true, false, T::Archives, A::Updated)),
        ("1!", "1!", "2", AsHere, (false, true, T::Archives, A::Updated)),
        ("1", "2", "any", AsHere, (false, false, T::Here, A::None)),
    ];
    for (downloaded, tree, wanted, form, (repair, download, from, action)) in table {
        let expected = EnsurePlan { repair, download, tree: from, action };
        assert_eq!(plan(downloaded, tree, wanted, form), expected, "{downloaded} {tree} {wanted} {form:?}");
    }
}

/// An *ensure* that has done what it decided has nothing to do the next time: a script may run it again.
#[test]
fn what_was_done_is_right_the_next_time() {
    let words = ["-", "?", "1", "1!", "2", "2!"];
    for form in [GameForm::AsHere, GameForm::Streamed, GameForm::Archives] {
        for downloaded in words.into_iter().filter(|word| *word != "?") {
            for tree in words {
                let first = plan(downloaded, tree, "2", form);
                let downloaded =
                    if first.download || (first.repair && downloaded == "2!") { "2" } else { downloaded };
                let tree = match (first.tree, first.repair, tree) {
                    (TreeFrom::Here, true, "2!") => "2",
                    (TreeFrom::Here, ..) => tree,
                    _ => "2",
                };
                let second = plan(downloaded, tree, "2", form);
                assert_eq!(second.action, EnsureAction::None, "{form:?} {downloaded} {tree}");
                assert!(second.is_local(), "{form:?} {downloaded} {tree}");
            }
        }
    }
}

#[test]
fn versions_are_newer_only_if_their_names_say_so() {
    let newer = |one: &str, other: &str| is_newer(&one.parse().unwrap(), &other.parse().unwrap());
    for (one, other) in [
        ("20250102", "20250101"),
        ("1.10", "1.9"),
        ("v2", "v1"),
        ("1.2.1", "1.2"),
        ("10", "9"),
        ("1 b 3", "1 b 2"),
        ("0010", "9"),
        ("99999999999999999999999", "9999999999999999999999"),
    ] {
        assert!(newer(one, other), "{one} {other}");
        assert!(!newer(other, one), "{other} {one}");
    }
    for (one, other) in
        [("2", "2"), ("02", "2"), ("beta", "alpha"), ("1.2-beta", "1.2"), ("1.2", "1.2-beta"), ("x", "2")]
    {
        assert!(!newer(one, other) && !newer(other, one), "{one} {other}");
    }
}

proptest! {
    #[test]
    fn no_two_versions_are_newer_than_each_other(one in "[0-9a.é]{1,8}", other in "[0-9a.é]{1,8}") {
        let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
        prop_assert!(!(is_newer(&one, &other) && is_newer(&other, &one)));
        prop_assert!(!is_newer(&one, &one));
    }
}
