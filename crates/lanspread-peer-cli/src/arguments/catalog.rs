//! `catalog`: what an organiser does.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use lanspread_peer::limits::CATALOG_JOBS_MAX;
use lanspread_peer::{CatalogName, GameId};

use crate::arguments::options::{Decoder, GamesDirOption};
use crate::arguments::values::GivenUrl;

/// `catalog`
#[derive(Debug, Args)]
pub(crate) struct CatalogArguments {
    #[command(subcommand)]
    pub(crate) command: CatalogCommand,
}

/// What to do with a catalog
#[derive(Debug, Subcommand)]
pub(crate) enum CatalogCommand {
    /// Build catalog.toml and a manifest for each downloaded game
    #[command(after_help = "\
Examples:
  lanspread-peer-cli catalog build --games-dir /srv/games --out party
  lanspread-peer-cli catalog build --games-dir /srv/games --out party cnctw

A manifest holds the digests of what is in one version of a game; it is party/manifests/SHA256.lsm. A game \
whose files are as they were is not read again. If something has changed, the version of the catalog counts \
up: sign it again then. Titles that you edit in catalog.toml stay; comments do not. A game that cannot be \
read keeps its entry, and the exit status tells. With GAME, only these games are read.")]
    Build(CatalogBuildArguments),
    /// Make your key pair for catalogs, once, and print its public half
    #[command(after_help = "\
Examples:
  lanspread-peer-cli catalog key             print the public key
  lanspread-peer-cli catalog key --out key   write it to key.pub too, to hand on

The secret key is catalog.key in the state directory, without a pass phrase and readable by you only. \
Keep a copy of it: with another key, others have to be given the new public key. The format is that of \
minisign: the program minisign can sign with the key, and verify with key.pub.")]
    Key(CatalogKey),
    /// Sign a catalog: write FILE.minisig
    #[command(after_help = "\
Example:
  lanspread-peer-cli catalog sign catalog.toml

A version is signed once: after a change, the catalog needs a higher version. A catalog that was signed by \
minisign itself is as good: minisign -S -s KEY -m catalog.toml")]
    Sign(CatalogSign),
    /// Check the signature of a catalog, and the manifests beside it
    #[command(after_help = "\
Examples:
  lanspread-peer-cli catalog verify catalog.toml --key key.pub
  lanspread-peer-cli catalog verify catalog.toml          with your own key

The signature is FILE.minisig. Manifests that are not in the folder manifests/ beside the catalog are \
counted, and not missed.")]
    Verify(CatalogVerify),
    /// Show what a catalog lists, or what the manifest of a game says
    #[command(after_help = "\
Examples:
  lanspread-peer-cli catalog show
  lanspread-peer-cli catalog show party/catalog.toml cnctw")]
    Show(CatalogShow),
    /// Show the games that are not the same in two catalogs
    #[command(after_help = "\
Example:
  lanspread-peer-cli catalog diff old/catalog.toml catalog.toml")]
    Diff(CatalogDiff),
    /// Forget which version of a signer's catalog this machine has seen
    #[command(after_help = "\
Example:
  lanspread-peer-cli catalog forget key.pub

With --catalog-key, a machine takes no catalog that is older than the newest that it has seen of that key. \
Use this if the signer had to begin again with a lower version. Do it while `serve` does not run.")]
    Forget(CatalogForget),
}

/// `catalog forget`
#[derive(Debug, Args)]
pub(crate) struct CatalogForget {
    /// The public key of the signer: its file, or its line in base64
    #[arg(value_hint = ValueHint::FilePath, value_name = "KEY")]
    pub(crate) signer: String,
}

/// `catalog key`
#[derive(Debug, Args)]
pub(crate) struct CatalogKey {
    /// Also write the public key to PREFIX.pub; a file that holds another key is left alone
    #[arg(long, value_hint = ValueHint::FilePath, value_name = "PREFIX")]
    pub(crate) out: Option<PathBuf>,
}

/// `catalog sign`
#[derive(Debug, Args)]
pub(crate) struct CatalogSign {
    /// The catalog
    #[arg(value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub(crate) catalog_file: PathBuf,
    /// File of a secret key without a pass phrase [default: the key that `catalog key` made]
    #[arg(long, value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
}

/// `catalog verify`
#[derive(Debug, Args)]
pub(crate) struct CatalogVerify {
    /// The catalog
    #[arg(value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub(crate) catalog_file: PathBuf,
    /// The public key: its file, or its line in base64 [default: the key that `catalog key` made]
    #[arg(long, value_hint = ValueHint::FilePath, value_name = "FILE|BASE64")]
    pub(crate) key: Option<String>,
}

/// `catalog show`
#[derive(Debug, Args)]
pub(crate) struct CatalogShow {
    /// The catalog
    #[arg(value_hint = ValueHint::FilePath, value_name = "FILE", default_value = "catalog.toml")]
    pub(crate) catalog_file: PathBuf,
    /// A game of it: show its manifest
    #[arg(value_hint = ValueHint::Other, value_name = "GAME")]
    pub(crate) game: Option<GameId>,
}

/// `catalog build`
#[derive(Debug, Args)]
pub(crate) struct CatalogBuildArguments {
    /// Ids of the games to read [default: all that are downloaded]
    #[arg(value_hint = ValueHint::Other, value_name = "GAME")]
    pub(crate) games_wanted: Vec<GameId>,
    #[command(flatten)]
    pub(crate) games: GamesDirOption,
    /// Folder for catalog.toml and its manifests; created if it does not exist
    #[arg(long, value_hint = ValueHint::DirPath, value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,
    /// Name of the catalog, for people [default: the name that it has]
    #[arg(long, env = "LANSPREAD_CATALOG_NAME", value_hint = ValueHint::Other, value_name = "TEXT")]
    pub(crate) catalog_name: Option<CatalogName>,
    /// HTTP server or S3 bucket that has the games, which receivers may use; may be given several times; others have to read it, so
    /// give no password [default: those that the catalog names]
    #[arg(long = "source", value_hint = ValueHint::Url, value_name = "URL")]
    pub(crate) sources: Vec<GivenUrl>,
    /// Games that are read at once [default: the number of cores]
    #[arg(long, env = "LANSPREAD_JOBS", value_hint = ValueHint::Other, value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..=CATALOG_JOBS_MAX as u64))]
    pub(crate) jobs: Option<u64>,
    #[command(flatten)]
    pub(crate) decoder: Decoder,
}

/// `manifest`
#[derive(Debug, Args)]
pub(crate) struct ManifestArguments {
    /// The game
    #[arg(value_hint = ValueHint::Other, value_name = "GAME")]
    pub(crate) game: GameId,
    #[command(flatten)]
    pub(crate) games: GamesDirOption,
    /// The file to write [default: manifest.lsm in the folder of the game]
    #[arg(long, value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Do not list the installed files: the archives are read and not decoded
    #[arg(long)]
    pub(crate) without_tree: bool,
    #[command(flatten)]
    pub(crate) decoder: Decoder,
}

/// `catalog diff`
#[derive(Debug, Args)]
pub(crate) struct CatalogDiff {
    /// The catalog before
    #[arg(value_hint = ValueHint::FilePath, value_name = "OLD")]
    pub(crate) old_catalog: PathBuf,
    /// The catalog now
    #[arg(value_hint = ValueHint::FilePath, value_name = "NEW")]
    pub(crate) new_catalog: PathBuf,
}
