//! Hands on manifests and the signed catalog, by position in their files. Each part is one request with a turn like any
//! other, so a guest that fetches much waits for itself. Nothing here is secret from a peer that may ask at all, and no
//! trust is involved: the receiver checks the digest, or the signature.

use std::fs::File;
use std::io;

use lanspread_proto::message::{CatalogMark, CatalogPart, Refusal, RefusalCode, Reply};
use lanspread_trust::manifest::Stored;
use lanspread_types::checksum::ContentDigest;
use lanspread_types::limits;

use crate::source::Source;
use crate::source::packing_lists::ListBytes;

/// A part of a manifest or of a packing list.
pub(super) fn manifest(source: &Source, digest: &ContentDigest, from: u64) -> Result<Reply, Refusal> {
    let not_here = || Refusal::new(RefusalCode::NotOffered, "it does not have this manifest");
    let catalog = source.catalog.as_ref().and_then(|catalog| catalog.current().ok());
    let stored = source.manifests.as_ref().map(|store| store.file(catalog.as_deref(), digest)).transpose();
    let stored = stored.map_err(|error| {
        tracing::warn!("the manifest {digest} cannot be handed on: {error}");
        not_here()
    })?;
    let kept = match stored.flatten() {
        Some(file) => ListBytes::OnDisk(file),
        None => source.kept_list(digest).ok_or_else(not_here)?,
    };
    match kept {
        ListBytes::OnDisk(file) => part_of_file(&file, from, limits::MANIFEST_BYTES_MAX),
        ListBytes::InMemory(bytes) => part(&&bytes[..], bytes.len() as u64, from, limits::MANIFEST_BYTES_MAX),
    }
}

/// A part of one of the files of the signed catalog in force.
pub(super) fn catalog(
    source: &Source,
    mark: CatalogMark,
    which: CatalogPart,
    from: u64,
) -> Result<Reply, Refusal> {
    let handed_on = source.catalog.as_ref().and_then(|catalog| catalog.handed_on());
    let Some(handed_on) = handed_on.filter(|handed_on| handed_on.mark == mark) else {
        let message = format!("it does not have version {} of this catalog", mark.version);
        return Err(Refusal::new(RefusalCode::NotOffered, &message));
    };
    match which {
        CatalogPart::File => part_of_file(&handed_on.files.catalog, from, limits::CATALOG_BYTES_MAX),
        CatalogPart::Signature => part_of_file(&handed_on.files.signature, from, limits::SIGNATURE_BYTES_MAX),
    }
}

fn part_of_file(file: &File, from: u64, bytes_max: u64) -> Result<Reply, Refusal> {
    part(file, file.metadata().map_err(|error| unreadable(&error))?.len(), from, bytes_max)
}

fn unreadable(error: &io::Error) -> Refusal {
    tracing::warn!("a file cannot be handed on: {error}");
    Refusal::new(RefusalCode::Internal, "it cannot read the file")
}

fn part(stored: &dyn Stored, total: u64, from: u64, bytes_max: u64) -> Result<Reply, Refusal> {
    if total > bytes_max {
        return Err(Refusal::new(RefusalCode::NotOffered, "its file is too large to be one"));
    }
    let rest = total.checked_sub(from).filter(|rest| *rest > 0);
    let rest = rest.ok_or_else(|| Refusal::new(RefusalCode::BadRequest, "the file is shorter than that"))?;
    let length = usize::try_from(rest).map_or(limits::PART_BYTES, |rest| rest.min(limits::PART_BYTES));
    let mut bytes = vec![0; length];
    stored.read_at(&mut bytes, from).map_err(|error| unreadable(&error))?;
    Ok(Reply::Part { total, bytes })
}
