//! The help that stands below the list of commands: what to type first, and what the exit status says.

/// Below the list of commands. Grouped by what somebody wants to do, not by command.
pub(crate) const FIRST_STEPS_AND_EXIT_STATUS: &str = "\
First steps:
  Find the peers of this network
    lanspread-peer-cli peers
  See which games are here and which are offered
    lanspread-peer-cli list --games-dir ~/games
  Install a game straight from a peer's archive, which is never stored
    lanspread-peer-cli install --stream cnctw --games-dir ~/games
  Or bring its archive here, to install from it and to share it
    lanspread-peer-cli download cnctw --games-dir ~/games
  Later bring the newer version
    lanspread-peer-cli update cnctw --games-dir ~/games
  Share what is downloaded
    lanspread-peer-cli serve --games-dir ~/games
  No peer found? Name one with --peer 10.0.0.5:4107, or for good
    lanspread-peer-cli peers add 10.0.0.5:4107
  Type less: put the options into ~/.config/lanspread/lanspread.toml
    games-dir = \"/home/me/games\"

Exit status:
  0 done            1 unexpected          2 usage, configuration
  3 nobody offers it, or the peer asked is not there
  4 every source failed                   5 refused: installed already, busy, not in the catalog, ambiguous
  6 content did not match                 7 local disk: space, permission
  130 interrupted";
