//! Plans of what brings a game: a stream, a download, the archives on this machine.

use std::sync::Arc;

use lanspread_store::download::{commit, partials, root_files};
use lanspread_store::install::unpack::would_install;
use lanspread_store::state::game_state::GameState;
use lanspread_store::state::listed_chunks::ListedChunks;
use lanspread_trust::manifest::{Manifest, ManifestFile};
use lanspread_types::content::Totals;
use lanspread_types::ids::{GameId, GameVersion, PeerName};
use lanspread_types::limits;

use crate::operations::OperationContext;
use crate::peer::core::Peer;
use crate::peer::download::refuse_version_here;
use crate::peer::download_sources::{DownloadSources, refused_by_all};
use crate::peer::error::PeerError;
use crate::peer::packed_sources::PackedSources;
use crate::peer::plan::course::{Course, CourseStep};
use crate::peer::stream_sources::StreamSources;
use crate::receive::transfer_source::TransferSource;
use crate::report::failure::AttemptFailure;
use crate::report::operation::{DecodeAt, OperationOptions};
use crate::report::packed_stream::UpstreamKind;
use crate::report::planned::{PlannedSource, PlannedStep, PlannedUpstream};
use crate::transport::dial::dial;
use crate::trust::select::PeerOffer;

impl Course {
    /// Then the archives are unpacked, which the step before it brings.
    pub(super) fn unpacks(&mut self, tree: Option<Totals>) {
        let step = CourseStep { written: tree, ..CourseStep::local(PlannedStep::Unpack, 0) };
        self.steps.push(step);
    }

    /// Names sources as they would be tried.
    pub(super) fn fetches_from(&mut self, sources: &[TransferSource]) {
        for source in sources {
            match source {
                TransferSource::Peer(peer) => self.sources.push(PlannedSource::from(&**peer)),
                TransferSource::Server(server) => {
                    self.upstreams.push(planned(server.name(), UpstreamKind::Http));
                }
            }
        }
    }
}

impl Peer {
    /// What is streamed. The caller has refused what may not be installed.
    pub(super) async fn plan_stream(
        &self,
        context: &OperationContext,
        course: &mut Course,
    ) -> Result<(), PeerError> {
        let OperationContext { game, options, .. } = context;
        let trusted = self.obtain_manifest(context, &self.servers(context)).await?;
        let StreamSources { version, peers, packed, dropped } =
            self.stream_sources(context, trusted.as_ref()).await?;
        let listed = packed.as_ref().map(|(_, listed)| listed);
        let totals = match listed.filter(|listed| listed.manifest().has_tree()) {
            Some(listed) => Some(listed.manifest().entries.totals()),
            None => self.totals(game, &version, &peers, trusted.as_ref()).await?,
        };
        let listed = listed.map(|listed| listed.manifest());
        course.steps.push(CourseStep {
            step: PlannedStep::Stream,
            // Archives as they are, or what is in them.
            fetched_bytes: listed.map(archive_bytes).or(totals.map(|totals| totals.bytes)),
            written: totals,
            removed_bytes: 0,
        });
        course.decoding = Some(match listed {
            Some(listed) => (DecodeAt::Receiver, memory_bytes(options, Some(listed))),
            None => (DecodeAt::Source, memory_bytes(options, None)),
        });
        course.sources.extend(peers.iter().map(PlannedSource::from));
        course.upstreams.extend(packed.iter().flat_map(|(from, _)| upstreams(from)));
        course.dropped.extend(dropped);
        course.version = Some(version);
        Ok(())
    }

    /// What is downloaded. Returns what its archives would install, if anything says it.
    pub(super) async fn plan_download(
        &self,
        context: &OperationContext,
        course: &mut Course,
    ) -> Result<Option<Totals>, PeerError> {
        let OperationContext { game, options, .. } = context;
        self.newer_catalog(context).await?;
        self.check_in_catalog(game)?;
        let here = self.game_state(game).await?;
        let version_here = here.as_ref().and_then(|state| state.version.clone());
        if let Some(wanted) = self.wanted_version(game) {
            refuse_version_here(game, version_here.as_ref(), &wanted)?;
        }
        let servers = self.servers(context);
        let manifest = self.obtain_manifest(context, &servers).await?;
        let listed = manifest.clone().map(ListedChunks::new);
        self.permit_download(context, listed.clone()).await?;
        let DownloadSources { version, files, sources, listed, dropped, .. } =
            self.download_sources(context, servers, listed).await?;
        refuse_version_here(game, version_here.as_ref(), &version)?;
        let files = root_files::accept(&files, options.names)
            .map_err(|error| refused_by_all(game, sources.iter().map(TransferSource::name), &error))?;
        let (wanted, all) = (version.clone(), files.clone());
        let looking = self
            .look_at("look", game, move |games, game| Ok(partials::kept_bytes(games, game, &wanted, &all)?));
        let bytes_kept = looking.await?;
        let missing = files.iter().map(|file| file.size).sum::<u64>().saturating_sub(bytes_kept);
        course.steps.push(CourseStep {
            step: PlannedStep::Download,
            fetched_bytes: Some(missing),
            written: Some(Totals { files: files.len() as u64, directories: 1, bytes: missing }),
            removed_bytes: here.filter(GameState::downloaded).map_or(0, |state| state.root_bytes()),
        });
        course.fetches_from(&sources);
        course.dropped.extend(dropped);
        course.version = Some(version.clone());
        let listed = listed.as_ref().map(|listed| listed.list().manifest());
        if let Some(listed) = listed.filter(|listed| listed.has_tree()) {
            return Ok(Some(listed.entries.totals()));
        }
        let peers = sources.iter().filter_map(TransferSource::peer).cloned();
        self.totals(game, &version, &peers.collect::<Vec<_>>(), manifest.as_ref()).await
    }

    /// What the archives on this machine would install.
    pub(super) async fn plan_unpack(
        &self,
        context: &OperationContext,
        course: &mut Course,
    ) -> Result<(), PeerError> {
        let names = context.options.names;
        let (provider, cancel) = (Arc::clone(&self.inner.source.provider), context.cancel.clone());
        let listing = self.look_at("list", &context.game, move |games, game| {
            Ok(would_install(games, game, names, provider.as_ref(), &cancel)?)
        });
        let (version, totals) = listing.await?;
        course.unpacks(Some(totals));
        course.version = Some(version);
        Ok(())
    }

    /// As the download refuses it.
    async fn permit_download(
        &self,
        context: &OperationContext,
        listed: Option<ListedChunks>,
    ) -> Result<(), PeerError> {
        let accept_unverified = context.options.accept_unverified;
        let looking = self.look_at("permit", &context.game, move |games, game| {
            Ok(commit::permit(games, game, listed.as_ref(), accept_unverified)?)
        });
        looking.await
    }

    /// Asks peers in order until one answers with the totals of its stream. None if there is no peer to ask.
    async fn totals(
        &self,
        game: &GameId,
        version: &GameVersion,
        peers: &[PeerOffer],
        listed: Option<&Arc<ManifestFile>>,
    ) -> Result<Option<Totals>, PeerError> {
        let mut attempts = Vec::new();
        for source in peers {
            // What they are is known without asking.
            if let Some(listed) = listed.filter(|listed| source.entries == Some(listed.digest())) {
                return Ok(Some(listed.manifest().entries.totals()));
            }
            let ask = async {
                let mut dialled = dial(&source.address.into(), &self.endpoint(), Some(source.id)).await?;
                dialled.totals(game, version).await
            };
            match ask.await {
                Ok((_archives, totals)) => return Ok(Some(totals)),
                Err(error) => {
                    attempts.push(AttemptFailure::new(&source.name, error.code(), error.to_string()));
                }
            }
        }
        if attempts.is_empty() {
            Ok(None)
        } else {
            Err(PeerError::AllSourcesFailed { game: game.clone(), attempts })
        }
    }
}

impl From<&PeerOffer> for PlannedSource {
    fn from(offer: &PeerOffer) -> Self {
        Self { name: offer.name.clone(), peer: offer.id, addr: offer.address }
    }
}

fn planned(name: &PeerName, kind: UpstreamKind) -> PlannedUpstream {
    PlannedUpstream { upstream: name.to_string(), kind }
}

/// The peers and servers that have the archives.
fn upstreams(from: &PackedSources) -> impl Iterator<Item = PlannedUpstream> {
    let peers = from.peers.iter().map(|peer| planned(&peer.name, UpstreamKind::Source));
    peers.chain(from.servers.iter().map(|server| planned(server.name(), UpstreamKind::Http)))
}

fn archive_bytes(manifest: &Manifest) -> u64 {
    let files = manifest.archives.iter().flat_map(|archive| &archive.files);
    files.filter_map(|file| manifest.root_files.get(*file)).map(|file| file.size).sum()
}

/// The most memory that an install takes here: of what is decoded here, the window, which never holds more than the
/// archives are, and one dictionary, because one archive is decoded after the other.
fn memory_bytes(options: &OperationOptions, packed: Option<&Manifest>) -> u64 {
    let Some(manifest) = packed else { return limits::STREAM_INSTALL_BYTES_BESIDE };
    let dictionary = manifest.archives.iter().map(|archive| archive.dictionary_bytes).max().unwrap_or(0);
    options.window_bytes().min(archive_bytes(manifest)) + dictionary + limits::STREAM_INSTALL_BYTES_BESIDE
}

#[cfg(test)]
mod tests {
    use lanspread_testing::machine::Machine;
    use lanspread_testing::{manifests, small_game};

    use super::*;

    #[test]
    fn the_memory_of_an_install_is_its_window_the_largest_dictionary_and_what_is_beside_them() {
        let machine = Machine::new();
        small_game::download(&machine.games_dir());
        let (game, version) = (small_game::game(), small_game::version());
        let listed = manifests::of_archives(&machine.games_dir().join("small"), &game, &version, None, &[]);
        let mut manifest = listed.manifest().clone();
        let options = |mib| OperationOptions::default().with_window_mib(mib);
        let beside = limits::STREAM_INSTALL_BYTES_BESIDE;
        assert_eq!(memory_bytes(&options(None), None), beside, "decoded at the source");
        manifest.archives[0].dictionary_bytes = 5;
        let file = manifest.archives[0].files[0];
        manifest.root_files[file].size = 7;
        assert_eq!(memory_bytes(&options(None), Some(&manifest)), 7 + 5 + beside, "more is never there");
        manifest.root_files[file].size = 1 << 40;
        let usual = limits::PACKED_WINDOW_BYTES;
        assert_eq!(memory_bytes(&options(None), Some(&manifest)), usual + 5 + beside);
        assert_eq!(memory_bytes(&options(Some(256)), Some(&manifest)), (256 << 20) + 5 + beside);
    }
}
