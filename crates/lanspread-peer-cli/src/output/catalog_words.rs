//! Answers about catalogs in words. Nothing here does I/O.

use lanspread_peer::{
    Answer, ArrivedManifest, AwaitedPackingList, BuiltManifest, GameId, GameVersion, MadePackingList,
    PeerEvent, PeerName, printable,
};

use super::quantities::{bytes, count as counted, duration};

/// Longest text of a file that is shown: a catalog is a file that anyone may have written.
const SHOWN_CHARS_MAX: usize = 200;

/// One answer about a catalog; nothing for others.
pub(super) fn report(report: &Answer) -> Option<String> {
    Some(match report {
        Answer::CatalogKey { key_id, public_key, path, made, copy } => {
            let made = if *made { "made now" } else { "made before" };
            let copy = copy.as_ref().map(|copy| format!("\n  to hand on: {copy}")).unwrap_or_default();
            format!("key {key_id}, {made}\n  secret: {path}\n  public: {public_key}{copy}")
        }
        Answer::CatalogSigned { catalog, signature, key_id, version } => {
            format!("{catalog}: version {version} signed by key {key_id}: {signature}")
        }
        Answer::CatalogForgotten { key_id, version: Some(version) } => {
            format!("key {key_id}: version {version} is forgotten")
        }
        Answer::CatalogForgotten { key_id, version: None } => format!("key {key_id}: no version was seen"),
        Answer::CatalogVerified { .. } => verified(report),
        Answer::ManifestWritten { path, game, version, bytes: count, tree, .. } => {
            let what = if *tree { "manifest" } else { "packing list" };
            format!("{game}: the {what} of version {version} was written, {}: {path}", bytes(*count))
        }
        Answer::CatalogBuilt { catalog, version: 0, .. } => {
            format!("{catalog}: not written, because no game could be read")
        }
        Answer::CatalogBuilt { catalog, version, games, written, removed } => {
            let state = if *written { "written, and to be signed" } else { "nothing has changed" };
            let mut text = format!("{catalog}: version {version}, {}, {state}", counted(*games, "game"));
            if !removed.is_empty() {
                let removed: Vec<&str> = removed.iter().map(GameId::as_str).collect();
                text += &format!("\n  no longer in it: {}", removed.join(", "));
            }
            text
        }
        Answer::CatalogDifference { game, change, old_version, new_version } => {
            difference(game, change, old_version.as_ref(), new_version.as_ref())
        }
        Answer::CatalogDifferences { old_version, new_version, differences, unchanged } => {
            let version = |version: &Option<u64>| {
                version.map_or_else(|| "no version".to_owned(), |version| format!("version {version}"))
            };
            format!(
                "{} to {}: {}, {unchanged} unchanged",
                version(old_version),
                version(new_version),
                counted(*differences, "difference")
            )
        }
        Answer::Catalog { .. } => about(report),
        Answer::CatalogGame { game, title, version, manifest, bytes: root_bytes, .. } => {
            let size = root_bytes.map(|count| format!("  {}", bytes(count))).unwrap_or_default();
            let manifest = if manifest.is_some() { "with a manifest" } else { "without a manifest" };
            format!("{game}  {version}  {manifest}{size}  {}", shown(title))
        }
        Answer::CatalogManifest { .. } => manifest(report),
        Answer::CatalogRootFile { name, bytes: count } => format!("{name}  {}", bytes(*count)),
        Answer::CatalogEntry { path, bytes: None, .. } => format!("local/{}/", shown(path)),
        Answer::CatalogEntry { path, bytes: Some(count), executable, .. } => {
            let executable = if *executable { "  executable" } else { "" };
            format!("local/{}  {}{executable}", shown(path), bytes(*count))
        }
        _ => return None,
    })
}

/// What happens to the catalog and the manifests of a peer.
pub(super) fn news(event: &PeerEvent) -> Option<String> {
    let by = |from: &Option<PeerName>| from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
    Some(match event {
        PeerEvent::CatalogUpdated { from, version, old } => {
            let old = old.map(|old| format!(" instead of version {old}")).unwrap_or_default();
            format!("the catalog{}: version {version} is in force{old}", by(from))
        }
        PeerEvent::CatalogRefused { from, message, .. } => {
            format!("a catalog{} is refused: {message}", by(from))
        }
        PeerEvent::ManifestArrived(ArrivedManifest { game, peer, bytes: count, .. }) => {
            format!("{game}: the manifest came from {peer}, {}", bytes(*count))
        }
        PeerEvent::ManifestMissing { game, message, .. } => {
            format!("{game}: the manifest that the catalog names is missing: {message}")
        }
        PeerEvent::PackingListMade(MadePackingList {
            game, version, read_bytes: count, duration_ms, ..
        }) => {
            let read = if *count > 0 { format!("{} read", bytes(*count)) } else { "nothing read".to_owned() };
            format!(
                "{game}: the packing list of version {version} was made, {read} in {}",
                duration(*duration_ms)
            )
        }
        PeerEvent::PackingListAwaited(AwaitedPackingList { game, in_ms }) => {
            format!("{game}: the sources make its packing list, which takes about {}", duration(*in_ms))
        }
        _ => return None,
    })
}

/// A game that was read, or known.
pub(super) fn built(event: &PeerEvent) -> Option<String> {
    let PeerEvent::CatalogGameBuilt(BuiltManifest {
        game,
        version,
        change,
        read,
        manifest_bytes,
        bytes: root_bytes,
        files,
        duration_ms,
        ..
    }) = event
    else {
        return None;
    };
    let how = if *read {
        format!("read in {}", duration(*duration_ms))
    } else {
        "not read again: its files are as they were".to_owned()
    };
    Some(format!(
        "{game} {version}: {change}; {}, {}; manifest of {}; {how}",
        bytes(*root_bytes),
        counted(*files, "installed file"),
        bytes(*manifest_bytes)
    ))
}

fn difference(
    game: &GameId,
    change: &str,
    old_version: Option<&GameVersion>,
    new_version: Option<&GameVersion>,
) -> String {
    let version = |version: Option<&GameVersion>| version.map_or("-", GameVersion::as_str).to_owned();
    match change {
        "added" => format!("+ {game}  {}", version(new_version)),
        "removed" => format!("- {game}  {}", version(old_version)),
        "version" => format!("~ {game}  {} to {}", version(old_version), version(new_version)),
        "content" => format!("~ {game}  {}  other content of the same version", version(new_version)),
        "manifest" => format!("~ {game}  {}  with a manifest in one of them only", version(new_version)),
        "title" => format!("~ {game}  {}  another title", version(new_version)),
        other => format!("~ {game}  {other}"),
    }
}

fn shown(text: &str) -> String {
    printable(text, SHOWN_CHARS_MAX)
}

fn verified(report: &Answer) -> String {
    let Answer::CatalogVerified {
        catalog,
        key_id,
        trusted_comment,
        version,
        expires,
        expired,
        games,
        manifests,
        manifests_missing,
    } = report
    else {
        return String::new();
    };
    let version = version.map(|version| format!("version {version}, ")).unwrap_or_default();
    let mut text = format!(
        "{catalog}: {version}{}, signed by key {key_id} ({})\n  {} compared",
        counted(*games, "game"),
        shown(trusted_comment),
        counted(*manifests, "manifest")
    );
    if *manifests_missing > 0 {
        text += &format!(", {manifests_missing} not here");
    }
    text + &expiry(expires.as_deref(), *expired)
}

fn expiry(expires: Option<&str>, has_passed: bool) -> String {
    match expires {
        Some(time) if has_passed => format!("\n  EXPIRED: {time}"),
        Some(time) => format!("\n  expires: {time}"),
        None => String::new(),
    }
}

fn about(report: &Answer) -> String {
    let Answer::Catalog { catalog, schema, version, name, made, expires, expired, signed_by, sources, games } =
        report
    else {
        return String::new();
    };
    let mut text = format!("{catalog}: schema {schema}");
    if let Some(version) = version {
        text += &format!(", version {version}");
    }
    if let Some(name) = name {
        text += &format!(", `{name}`");
    }
    text += &format!(", {}", counted(*games, "game"));
    if let Some(made) = made {
        text += &format!(", made {made}");
    }
    match signed_by {
        Some(key_id) => text += &format!("\n  signature of key {key_id}, not checked"),
        None => text += "\n  without a signature",
    }
    for source in sources {
        text += &format!("\n  source: {source}");
    }
    text + &expiry(expires.as_deref(), *expired)
}

fn manifest(report: &Answer) -> String {
    let Answer::CatalogManifest {
        manifest,
        bytes: root_bytes,
        chunk_bytes,
        archives,
        dictionary_bytes,
        header_bytes,
        files,
        directories,
        unpacked_bytes,
        ..
    } = report
    else {
        return String::new();
    };
    format!(
        "manifest {manifest}\n  {} in {}, digests of {} each, dictionary {}, {} of headers\n  installed: {}, {}, {}",
        bytes(*root_bytes),
        counted(*archives, "archive"),
        bytes(*chunk_bytes),
        bytes(*dictionary_bytes),
        bytes(*header_bytes),
        counted(*files, "file"),
        counted(*directories, "folder"),
        bytes(*unpacked_bytes)
    )
}
