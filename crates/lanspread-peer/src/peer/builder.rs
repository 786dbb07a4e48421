//! How a peer is described before it starts.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::{Inner, Peer};
use crate::archive::provider::ProviderChoice;
use crate::catalog::Catalog;
use crate::error::PeerError;
use crate::event::EventSender;
use crate::fault::LocalError;
use crate::game::{PeerId, PeerName};
use crate::identity;
use crate::limits;
use crate::source::Source;
use crate::task::Tasks;

/// Everything a peer can be told.
#[derive(Debug, Clone)]
pub struct PeerConfig {
    /// Where the games are.
    pub games_dir: PathBuf,
    /// Where identity and settings live; the user's state directory when nothing is said.
    pub state_dir: Option<PathBuf>,
    /// Name shown to people; the host's name when nothing is said.
    pub name: Option<PeerName>,
    /// The catalog file; without one every game with a sentinel is offered.
    pub catalog: Option<PathBuf>,
    /// Which decoder is used for serving.
    pub provider: ProviderChoice,
    /// Streams served at once, 1 to [`limits::STREAMS_MAX`].
    pub streams_max: usize,
}

/// Describes a peer step by step.
#[derive(Debug, Clone)]
pub struct PeerBuilder {
    config: PeerConfig,
}

impl PeerBuilder {
    pub(super) fn new(games_dir: PathBuf) -> Self {
        Self {
            config: PeerConfig {
                games_dir,
                state_dir: None,
                name: None,
                catalog: None,
                provider: ProviderChoice::Native,
                streams_max: limits::STREAMS_MAX_DEFAULT,
            },
        }
    }

    /// Where identity and settings live.
    #[must_use]
    pub fn state_dir(mut self, state_dir: impl Into<PathBuf>) -> Self {
        self.config.state_dir = Some(state_dir.into());
        self
    }

    /// Name shown to people.
    #[must_use]
    pub fn name(mut self, name: PeerName) -> Self {
        self.config.name = Some(name);
        self
    }

    /// The catalog file.
    #[must_use]
    pub fn catalog(mut self, catalog: impl Into<PathBuf>) -> Self {
        self.config.catalog = Some(catalog.into());
        self
    }

    /// Which decoder is used for serving.
    #[must_use]
    pub fn provider(mut self, provider: ProviderChoice) -> Self {
        self.config.provider = provider;
        self
    }

    /// Streams served at once.
    #[must_use]
    pub fn streams_max(mut self, streams_max: usize) -> Self {
        self.config.streams_max = streams_max;
        self
    }

    /// Makes the peer: reads the catalog, reads or makes its identity. It serves nothing yet.
    ///
    /// # Errors
    /// [`PeerError::Config`], [`PeerError::Catalog`] or [`PeerError::Local`].
    pub fn build(self) -> Result<Peer, PeerError> {
        Peer::from_config(self.config)
    }
}

impl Peer {
    /// Makes a peer from its description; see [`PeerBuilder::build`].
    ///
    /// # Errors
    /// [`PeerError::Config`], [`PeerError::Catalog`] or [`PeerError::Local`].
    pub fn from_config(config: PeerConfig) -> Result<Self, PeerError> {
        if config.streams_max == 0 || config.streams_max > limits::STREAMS_MAX {
            return Err(PeerError::Config(format!(
                "the number of streams must be 1 to {}, not {}",
                limits::STREAMS_MAX,
                config.streams_max
            )));
        }
        let metadata = std::fs::metadata(&config.games_dir);
        let metadata = metadata.map_err(LocalError::io("open the games folder", &config.games_dir))?;
        if !metadata.is_dir() {
            return Err(PeerError::Config(format!("{} is not a folder", config.games_dir.display())));
        }
        let catalog = config.catalog.as_deref().map(Catalog::load).transpose()?.map(Arc::new);
        let (id, name) = identity(config.state_dir, config.name)?;
        let (events, tasks) = (EventSender::new(), Tasks::default());
        let source = Source::new(
            config.games_dir.clone(),
            catalog.clone(),
            crate::archive::provider(&config.provider),
            events.clone(),
            tasks.clone(),
            config.streams_max,
        );
        let inner = Inner {
            id,
            name,
            instance: identity::instance()?,
            games_dir: config.games_dir,
            catalog,
            events,
            tasks,
            source: Arc::new(source),
            listening: Mutex::new(None),
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

/// Identity and name from a state directory, the user's when nothing is said.
pub(super) fn identity(
    state_dir: Option<PathBuf>,
    name: Option<PeerName>,
) -> Result<(PeerId, PeerName), PeerError> {
    let state_dir = state_dir.or_else(identity::default_state_dir).ok_or_else(|| {
        PeerError::Config("there is no home folder for the peer's identity; give --state-dir".to_owned())
    })?;
    let id = identity::load_or_create(&state_dir)?;
    Ok((id, name.unwrap_or_else(|| host_name(&id.to_string()))))
}

/// The host's name as far as it is one; else a name from the identity, so that two such peers can be told apart.
fn host_name(id: &str) -> PeerName {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let named = host.parse().or_else(|_| format!("peer-{}", id.get(..8).unwrap_or(id)).parse());
    named.unwrap_or_else(|_| unreachable!("eight hexadecimal digits are a name"))
}
