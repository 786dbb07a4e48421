//! Lists that a peer sends in parts. The whole list has one deadline, every part adds something to it, and its length is
//! bounded, so that no peer can keep another one waiting or fill its memory.

use std::time::Duration;

use lanspread_proto::WireError;
use lanspread_proto::connection::Connection;
use lanspread_proto::error::within;
use lanspread_proto::message::{Reply, Request};
use lanspread_types::checksum::ContentDigest;
use lanspread_types::content::{GameOffer, RootFile};
use lanspread_types::ids::{GameId, GameVersion};
use lanspread_types::limits;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::room::told::ToldActivity;

/// A library that a peer has reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportedLibrary {
    pub(crate) revision: u64,
    /// None if there was no room for all of its games.
    pub(crate) games: Option<Vec<GameOffer>>,
}

/// Asks for the library of a peer. Every part is kept only if `has_room` for it.
pub(crate) async fn library<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    has_room: impl FnMut(&[GameOffer]) -> bool,
) -> Result<ReportedLibrary, WireError> {
    connection.send(&Request::News { library: None, activity: None }).await?;
    take_library(connection, None, has_room).await
}

/// What a peer has said since it was asked last.
#[derive(Debug)]
pub(crate) enum News {
    Library(ReportedLibrary),
    Activity(ToldActivity),
    Unchanged,
}

/// Asks for the library of a peer and for what it is doing, as soon as one of them differs from what is known. Every part of a
/// library is kept only if `has_room` for it.
pub(crate) async fn news<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    library: Option<u64>,
    activity: Option<u64>,
    has_room: impl FnMut(&[GameOffer]) -> bool,
) -> Result<News, WireError> {
    connection.send(&Request::News { library, activity }).await?;
    // The peer waits for something to change, so the answer begins only then.
    let reply = connection.receive("answer about what is new", limits::LIBRARY_REPLY_DEADLINE).await?;
    match reply.ok_or(WireError::Closed)? {
        Reply::Unchanged if library.is_some() => Ok(News::Unchanged),
        part @ Reply::Activity { .. } => Ok(News::Activity(take_activity(connection, part).await?)),
        part => Ok(News::Library(take_library(connection, Some(part), has_room).await?)),
    }
}

async fn take_library<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    first: Option<Reply>,
    mut has_room: impl FnMut(&[GameOffer]) -> bool,
) -> Result<ReportedLibrary, WireError> {
    let mut library: Option<ReportedLibrary> = None;
    let mut count = 0;
    in_parts(connection, first, |reply| {
        let Reply::Games { revision, games, more } = reply else { return Err(other("games")) };
        let library = library.get_or_insert(ReportedLibrary { revision, games: Some(Vec::new()) });
        if library.revision != revision {
            return Err(WireError::Malformed("a list of games from two revisions".to_owned()));
        }
        count += games.len();
        check_part("games", games.len(), more, count, limits::GAMES_MAX)?;
        match &mut library.games {
            Some(all) if has_room(&games) => all.extend(games),
            kept => *kept = None,
        }
        Ok(more)
    })
    .await?;
    library.ok_or(WireError::Closed)
}

async fn take_activity<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    first: Reply,
) -> Result<ToldActivity, WireError> {
    let mut told: Option<ToldActivity> = None;
    in_parts(connection, Some(first), |reply| {
        let Reply::Activity { revision, is_whole, accepts, head, games, more } = reply else {
            return Err(other("what it is doing"));
        };
        check_adds("games with which something happens", games.len(), more)?;
        let part = ToldActivity { revision, is_whole, accepts, head, games };
        match &mut told {
            Some(told) => told.add(part)?,
            None => told = Some(part),
        }
        Ok(more)
    })
    .await?;
    told.ok_or(WireError::Closed)
}

/// What a peer has reported about one game.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportedDetails {
    pub(crate) version: GameVersion,
    pub(crate) files: Vec<RootFile>,
    /// The packing list of exactly these files, or the manifest whose installed files it offers.
    pub(crate) manifest: Option<ContentDigest>,
    /// In how many milliseconds it may have a packing list that it is making.
    pub(crate) manifest_in_ms: Option<u32>,
    /// Whether it has no root files, and offers the installed files of the manifest.
    pub(crate) is_entries: bool,
}

/// Asks for version, root files and manifest of one game.
pub(crate) async fn details<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    game: &GameId,
) -> Result<ReportedDetails, WireError> {
    connection.send(&Request::Details { game: game.clone() }).await?;
    let mut all = Vec::new();
    let mut told: Option<(GameVersion, Option<ContentDigest>)> = None;
    let (mut is_entries, mut in_ms) = (false, None);
    in_parts(connection, None, |reply| {
        let (version, files, more, manifest) = match reply {
            Reply::Details { version, files, more, manifest, manifest_in_ms } => {
                // It passes with time, so the last part says it best.
                in_ms = manifest_in_ms.filter(|_| manifest.is_none());
                (version, files, more, manifest)
            }
            Reply::EntriesOffered { version, manifest } if told.is_none() => {
                is_entries = true;
                (version, Vec::new(), false, Some(manifest))
            }
            _ => return Err(other("details")),
        };
        if *told.get_or_insert_with(|| (version.clone(), manifest)) != (version, manifest) {
            return Err(WireError::Malformed("a list of files of two versions".to_owned()));
        }
        let added = files.len();
        all.extend(files);
        check_part("root files", added, more, all.len(), limits::ROOT_FILES_MAX)?;
        Ok(more)
    })
    .await?;
    let (version, manifest) = told.ok_or(WireError::Closed)?;
    Ok(ReportedDetails { version, files: all, manifest, manifest_in_ms: in_ms, is_entries })
}

/// Gives every part of a list to `take`, as [`parts`] does, within the deadline for whole lists.
async fn in_parts<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    first: Option<Reply>,
    take: impl FnMut(Reply) -> Result<bool, WireError>,
) -> Result<(), WireError> {
    let whole = parts(connection, first, limits::LISTING_DEADLINE, take);
    within(limits::LISTING_DEADLINE, "whole answer", whole).await
}

/// Gives every part of an answer to `take`, which returns whether more are wanted. `first` is the first part, if it has
/// already arrived. Each part must begin within `idle`; the caller bounds the whole answer.
pub(crate) async fn parts<S: AsyncRead + AsyncWrite>(
    connection: &mut Connection<S>,
    first: Option<Reply>,
    idle: Duration,
    mut take: impl FnMut(Reply) -> Result<bool, WireError>,
) -> Result<(), WireError> {
    let mut next = first;
    loop {
        let reply = if let Some(reply) = next.take() {
            reply
        } else {
            connection.receive("reply", idle).await?.ok_or(WireError::Closed)?
        };
        if let Reply::Refused(refusal) = reply {
            return Err(WireError::Refused(refusal));
        }
        if !take(reply)? {
            return Ok(());
        }
    }
}

pub(crate) fn other(expected: &'static str) -> WireError {
    WireError::Unexpected { expected, got: "another reply" }
}

/// Refuses a part that adds nothing although more follow: such a list need never end.
pub(crate) fn check_adds(what: &str, added: usize, more: bool) -> Result<(), WireError> {
    if added == 0 && more {
        return Err(WireError::Malformed(format!("a part of a list of {what} is empty, and more follow")));
    }
    Ok(())
}

fn check_part(what: &str, added: usize, more: bool, all: usize, limit: usize) -> Result<(), WireError> {
    check_adds(what, added, more)?;
    if all > limit {
        return Err(WireError::Malformed(format!("more than {limit} {what}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
