//! `catalog`: keys, signatures and what a catalog says.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use lanspread_peer::manifest::EntryContent;
use lanspread_peer::regular_file::{if_present, open_of_user, read_of_user, read_whole};
use lanspread_peer::{
    Answer, Catalog, CatalogContent, CatalogGame, CatalogHead, ErrorCategory, GameId, KeyError, KeyProblem,
    LocalError, ManifestError, ManifestFile, PeerError, Signature, SignatureProblem, TrustError,
    default_state_dir, draft_file, forget_catalog_version, key_file, limits, open_manifest,
};

use crate::arguments::{
    CatalogCommand, CatalogDiff, CatalogForget, CatalogKey, CatalogShow, CatalogSign, CatalogVerify, Global,
};
use crate::commands::catalog_build;
use crate::exit::{CommandResult, Failure};
use crate::output::Output;

pub(crate) fn run(global: &Global, output: Output, command: CatalogCommand) -> CommandResult {
    match command {
        CatalogCommand::Key(key) => make_key(global, output, key),
        CatalogCommand::Sign(sign) => self::sign(global, output, &sign),
        CatalogCommand::Verify(verify) => self::verify(global, output, &verify),
        CatalogCommand::Build(build) => catalog_build::run(global, output, build),
        CatalogCommand::Diff(diff) => self::diff(output, &diff),
        CatalogCommand::Show(show) => self::show(output, &show),
        CatalogCommand::Forget(forget) => self::forget(global, output, &forget),
    }
}

fn make_key(global: &Global, output: Output, arguments: CatalogKey) -> CommandResult {
    let state_dir = state_dir(global)?;
    let (key, made) = key_file::load_or_make(&state_dir)?;
    let public = key.public();
    let copy = arguments.out.map(|prefix| with_ending(&prefix, ".pub"));
    if let Some(copy) = &copy {
        key_file::write_public(copy, &public)?;
    }
    let path = key_file::path_in(&state_dir);
    output.report(&Answer::CatalogKey {
        key_id: public.id().to_string(),
        public_key: public.to_string(),
        path: text_of(&path),
        made,
        copy: copy.as_deref().map(text_of),
    })?;
    Ok(())
}

fn sign(global: &Global, output: Output, arguments: &CatalogSign) -> CommandResult {
    let path = &arguments.catalog_file;
    let key = match &arguments.key {
        Some(key) => key_file::load_secret(key),
        None => key_file::load_of_state(&state_dir(global)?),
    };
    let key = key.map_err(|error| with_pass_phrase(error, path))?;
    let (bytes, catalog) = read_catalog(path)?;
    let Some(CatalogHead { version, name, .. }) = &catalog.content().head else {
        let reason = "it has schema 1, which has no version to sign".to_owned();
        return Err(unusable(path, reason).into());
    };
    let name = name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    let comment = format!("lanspread catalog{name} version {version}");
    let signature = Signature::sign(&key, &bytes, &comment);
    let place = signature_path(path);
    refuse_second_content(&place, &signature, *version, &key.public())?;
    draft_file::replace(&place, signature.file().as_bytes(), 0o644).map_err(PeerError::from)?;
    output.report(&Answer::CatalogSigned {
        catalog: text_of(path),
        signature: text_of(&place),
        key_id: key.public().id().to_string(),
        version: *version,
    })?;
    Ok(())
}

/// Peers that have seen one catalog of a version refuse another one, so its author must not sign two.
fn refuse_second_content(
    place: &Path,
    signature: &Signature,
    version: u64,
    key: &lanspread_peer::PublicKey,
) -> Result<(), Failure> {
    let there =
        if_present(open_of_user(place).and_then(|file| read_whole(&file, limits::SIGNATURE_BYTES_MAX)));
    // A file that is no signature of this key says nothing, and is replaced as the user asked.
    let Some(before) = there.ok().flatten().and_then(|bytes| Signature::parse(&bytes).ok()) else {
        return Ok(());
    };
    let is_same_version = before.trusted_comment().ends_with(&format!(" version {version}"));
    if before.key_id() == key.id() && before.comment_is_of(key) && is_same_version && before != *signature {
        let message = format!("{} already signs another catalog of version {version}", place.display());
        return Err(Failure::new("signed-twice", None, message, ErrorCategory::Refused));
    }
    Ok(())
}

fn verify(global: &Global, output: Output, arguments: &CatalogVerify) -> CommandResult {
    let path = &arguments.catalog_file;
    let key = match &arguments.key {
        Some(key) => key_file::load_public(key)?,
        None => key_file::load_of_state(&state_dir(global)?)?.public(),
    };
    // Size, signature, content: nothing is parsed before its signature counts.
    let bytes = read(path)?;
    let place = signature_path(path);
    let refused = |problem: SignatureProblem| {
        let cause = (problem == SignatureProblem::Legacy).then_some("legacy");
        let message = format!("the signature {} is refused: {problem}", place.display());
        Failure::new("signature-refused", cause, message, ErrorCategory::Content)
    };
    let signature = match if_present(open_of_user(&place)) {
        Ok(Some(file)) => read_whole(&file, limits::SIGNATURE_BYTES_MAX),
        Ok(None) => {
            let message = format!("{} is not signed: there is no {}", path.display(), place.display());
            return Err(Failure::new("not-signed", None, message, ErrorCategory::Refused));
        }
        Err(error) => Err(error),
    };
    let signature = signature.map_err(|error| {
        let message = format!("the signature {} is refused: {error}", place.display());
        Failure::new("signature-refused", None, message, ErrorCategory::Content)
    })?;
    let signature = Signature::parse(&signature).map_err(refused)?;
    signature.verify(&key, &bytes).map_err(refused)?;
    let catalog = Catalog::of_bytes(path, &bytes)?;
    let head = catalog.content().head.as_ref();
    let (mut manifests, mut missing, mut first) = (0, 0, None);
    for (game, known) in &catalog.content().games {
        match open_manifest(folder_of(path), game, known) {
            Ok(Some(_)) => manifests += 1,
            Ok(None) => missing += u64::from(known.manifest.is_some()),
            Err(error) => {
                let failure = Failure::from(error).of_game(game);
                output.failure(&failure);
                first.get_or_insert(failure.reported());
            }
        }
    }
    if let Some(first) = first {
        return Err(first);
    }
    let expires = head.and_then(|head| head.expires);
    output.report(&Answer::CatalogVerified {
        catalog: text_of(path),
        key_id: key.id().to_string(),
        trusted_comment: signature.trusted_comment().to_owned(),
        version: head.map(|head| head.version),
        expires: expires.map(|time| time.to_string()),
        expired: expires.is_some_and(lanspread_peer::CatalogTime::has_passed),
        games: catalog.content().games.len() as u64,
        manifests,
        manifests_missing: missing,
    })?;
    Ok(())
}

fn forget(global: &Global, output: Output, arguments: &CatalogForget) -> CommandResult {
    let key = key_file::load_public(&arguments.signer)?;
    let version = forget_catalog_version(&state_dir(global)?, &key.into())?;
    output.report(&Answer::CatalogForgotten { key_id: key.id().to_string(), version })?;
    Ok(())
}

fn show(output: Output, arguments: &CatalogShow) -> CommandResult {
    let path = &arguments.catalog_file;
    let (_, catalog) = read_catalog(path)?;
    if let Some(game) = &arguments.game {
        let Some(known) = catalog.game(game) else {
            let (game, catalog) = (game.clone(), path.clone());
            return Err(PeerError::NotInCatalog { game, catalog }.into());
        };
        return show_game(output, path, game, known);
    }
    let content = catalog.content();
    let head = content.head.as_ref();
    let expires = head.and_then(|head| head.expires);
    output.report(&Answer::Catalog {
        catalog: text_of(path),
        schema: if head.is_some() { 2 } else { 1 },
        version: head.map(|head| head.version),
        name: head.and_then(|head| head.name.clone()),
        made: head.and_then(|head| head.made).map(|time| time.to_string()),
        expires: expires.map(|time| time.to_string()),
        expired: expires.is_some_and(lanspread_peer::CatalogTime::has_passed),
        signed_by: said_signer(path),
        sources: head.map(|head| head.sources.iter().map(ToString::to_string).collect()).unwrap_or_default(),
        games: content.games.len() as u64,
    })?;
    for (game, known) in &content.games {
        output.report(&game_answer(game, known))?;
    }
    Ok(())
}

fn diff(output: Output, arguments: &CatalogDiff) -> CommandResult {
    let (_, old) = read_catalog(&arguments.old_catalog)?;
    let (_, new) = read_catalog(&arguments.new_catalog)?;
    let (old, new) = (old.content(), new.content());
    let games: BTreeSet<&GameId> = old.games.keys().chain(new.games.keys()).collect();
    let (mut differences, mut unchanged) = (0, 0);
    for game in games {
        let (before, after) = (old.games.get(game), new.games.get(game));
        let Some(change) = change(before, after) else {
            unchanged += 1;
            continue;
        };
        differences += 1;
        output.report(&Answer::CatalogDifference {
            game: game.clone(),
            change: change.into(),
            old_version: before.map(|game| game.version.clone()),
            new_version: after.map(|game| game.version.clone()),
        })?;
    }
    let version = |content: &CatalogContent| content.head.as_ref().map(|head| head.version);
    let (old_version, new_version) = (version(old), version(new));
    output.report(&Answer::CatalogDifferences { old_version, new_version, differences, unchanged })?;
    Ok(())
}

/// What became of a game: the change that matters most.
fn change(before: Option<&CatalogGame>, after: Option<&CatalogGame>) -> Option<&'static str> {
    match (before, after) {
        (None, _) => Some("added"),
        (_, None) => Some("removed"),
        (Some(before), Some(after)) if before.version != after.version => Some("version"),
        (Some(before), Some(after)) => match (before.manifest, after.manifest) {
            (Some(one), Some(two)) if one != two => Some("content"),
            (Some(_), None) | (None, Some(_)) => Some("manifest"),
            _ if before.name != after.name => Some("title"),
            _ if before != after => Some("content"),
            _ => None,
        },
    }
}

fn show_game(output: Output, path: &Path, game: &GameId, known: &CatalogGame) -> CommandResult {
    output.report(&game_answer(game, known))?;
    let Some(opened) = open_manifest(folder_of(path), game, known)? else {
        if let Some(reference) = known.manifest {
            let message = format!("the manifest {} of {game} is not beside the catalog", reference.digest);
            return Err(Failure::new("no-manifest", None, message, ErrorCategory::Refused));
        }
        output.note(&format!("{game} has no manifest in this catalog"));
        return Ok(());
    };
    show_manifest(output, &opened)
}

fn show_manifest(output: Output, opened: &ManifestFile) -> CommandResult {
    let manifest = opened.manifest();
    let totals = manifest.entries.totals();
    let dictionaries = manifest.archives.iter().map(|archive| archive.dictionary_bytes);
    let headers = manifest.archives.iter().flat_map(|archive| &archive.headers);
    output.report(&Answer::CatalogManifest {
        game: manifest.game.clone(),
        version: manifest.version.clone(),
        manifest: opened.digest(),
        bytes: manifest.root_bytes(),
        chunk_bytes: manifest.chunk_bytes().into(),
        archives: manifest.archives.len() as u64,
        dictionary_bytes: dictionaries.max().unwrap_or(0),
        header_bytes: headers.map(|range| range.length).sum(),
        files: totals.files,
        directories: totals.directories,
        unpacked_bytes: totals.bytes,
    })?;
    for file in &manifest.root_files {
        output.report(&Answer::CatalogRootFile { name: file.name.clone(), bytes: file.size })?;
    }
    for entry in manifest.entries.iter() {
        let (bytes, executable, sha256) = match entry.content {
            EntryContent::Folder => (None, false, None),
            EntryContent::File { size, executable, digest, .. } => (Some(size), executable, Some(*digest)),
        };
        output.report(&Answer::CatalogEntry { path: entry.path.to_owned(), bytes, executable, sha256 })?;
    }
    Ok(())
}

fn game_answer(game: &GameId, known: &CatalogGame) -> Answer {
    Answer::CatalogGame {
        game: game.clone(),
        title: known.name.clone(),
        version: known.version.clone(),
        manifest: known.manifest.map(|manifest| manifest.digest),
        manifest_bytes: known.manifest.map(|manifest| manifest.bytes),
        bytes: known.bytes,
        unpacked_bytes: known.unpacked_bytes,
    }
}

/// The key that is said to have signed a catalog: not checked, and nothing if the signature cannot be read.
fn said_signer(path: &Path) -> Option<String> {
    let file = open_of_user(&signature_path(path)).ok()?;
    let bytes = read_whole(&file, limits::SIGNATURE_BYTES_MAX).ok()?;
    Some(Signature::parse(&bytes).ok()?.key_id().to_string())
}

fn state_dir(global: &Global) -> Result<PathBuf, Failure> {
    let chosen = global.state_dir.clone().or_else(default_state_dir);
    chosen.ok_or_else(|| PeerError::from(TrustError::NoStateDir).into())
}

fn unusable(path: &Path, reason: String) -> TrustError {
    TrustError::Catalog { path: path.to_owned(), reason }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let read = read_of_user(path, limits::CATALOG_BYTES_MAX);
    read.map_err(|error| unusable(path, error.to_string()).into())
}

fn read_catalog(path: &Path) -> Result<(Vec<u8>, Catalog), Failure> {
    let bytes = read(path)?;
    let catalog = Catalog::of_bytes(path, &bytes)?;
    Ok((bytes, catalog))
}

fn signature_path(catalog: &Path) -> PathBuf {
    with_ending(catalog, ".minisig")
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn text_of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A key with a pass phrase can be used by minisign itself.
fn with_pass_phrase(error: KeyError, catalog: &Path) -> Failure {
    let hint = match &error {
        KeyError::Unusable { path, problem: KeyProblem::PassPhrase } => {
            Some(format!("sign with: minisign -S -s {} -m {}", path.display(), catalog.display()))
        }
        _ => None,
    };
    let failure = Failure::from(error);
    Failure { hint: hint.map(Into::into).or(failure.hint), ..failure }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        let message = error.to_string();
        let (code, category) = match error {
            KeyError::Foreign(error) => return PeerError::from(LocalError::from(error)).into(),
            KeyError::Local(error) => return PeerError::from(error).into(),
            KeyError::NoKey { .. } => ("no-key", ErrorCategory::Usage),
            KeyError::OtherFile { .. } => ("other-file", ErrorCategory::Refused),
            KeyError::NoRandomNumbers(_) => ("internal", ErrorCategory::Unexpected),
            _ => ("key-unusable", ErrorCategory::Usage),
        };
        Self::new(code, None, message, category)
    }
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Self {
        Self::new("manifest-refused", None, error.to_string(), ErrorCategory::Content)
    }
}

impl From<TrustError> for Failure {
    fn from(error: TrustError) -> Self {
        PeerError::from(error).into()
    }
}
