"""Rows of the matrix that nothing checks yet. A scenario that is written leaves this list."""

from ..contract import Planned

PLANNED = (
    Planned(
        "S1", "Start-up scan", "Ready and library events come; fixture games are downloaded, not installed, Ready."
    ),
    Planned("S2", "Direct connect", "Each side lists exactly one remote peer, never itself; libraries are exchanged."),
    Planned("S3", "Aggregation", "A game on two peers is listed once with peer count 2; unique games with 1."),
    Planned(
        "S4",
        "Download, no install",
        "Archives and sentinel are identical to the source's; the sentinel is written last; there is no local/.",
    ),
    Planned("S5", "Download and install", "The game is downloaded and installed; its tree equals `unrar x`."),
    Planned("S6", "Install, then uninstall", "local/ comes and goes; archives and sentinel stay."),
    Planned("S7", "Two agreeing sources", "The game is committed once; both served; no chunk was fetched twice."),
    Planned(
        "S12",
        "Serve gate",
        "Raw requests for local/, staging, .lanspread/, `..` and another game's path are refused; the connection "
        "survives or closes cleanly.",
    ),
    Planned("S13", "Byte-exact transfer", "SHA-256 manifests are equal, for sizes 0, 1, chunk - 1, chunk, chunk + 1."),
    Planned("S14", "Chunk balance", "One archive of 4 chunks over two equal peers: 2 + 2."),
    Planned(
        "S15",
        "Slow peer",
        "With one of two sources throttled to a tenth, the download ends in far less than the slow one alone would "
        "need, and the fast one serves most.",
    ),
    Planned("S16", "Fan-out over versions", "Only peers at the catalog's version take part."),
    Planned(
        "S17", "Resume a download", "After the receiver was killed half-way, the next run fetches only what is missing."
    ),
    Planned(
        "S18", "Source killed mid-download", "All bytes arrive, the survivor finishes, and there is no failure event."
    ),
    Planned("S19", "Every source gone mid-download", "Clear failure, no sentinel, and the next run resumes."),
    Planned("S21", "Two games at once", "Both complete; their events never mix."),
    Planned(
        "S22",
        "Update",
        "A newer catalog version replaces archives and local/; the old tree survives until the new one is promoted.",
    ),
    Planned(
        "S23", "Remove downloaded files", "Archives and sentinel are gone, local/ stays, and the state is LocalOnly."
    ),
    Planned("S24", "Verify", "A flipped byte in local/ or in an archive is found and named; exit 6."),
    Planned(
        "S25",
        "Source file changed while serving",
        "The receiver fails that attempt or finishes consistently; a file is never mixed.",
    ),
    Planned("S26", "Library watch", "A game added, changed or removed on disk is announced without a restart."),
    Planned("S27", "Discovery", "Peers on one network find each other without --peer; leaving is noticed."),
    Planned("S28", "Address change", "A peer that comes back on another address keeps its identity; no duplicate."),
    Planned("S29", "Self-connect", "A connection to oneself is refused."),
    Planned("S30", "Duplicate identity", "Two peers with one copied identity are detected and reported."),
    Planned("S36", "Mesh of six", "Every peer sees every other; one game goes from one peer to all five others."),
    Planned(
        "S37",
        "Single-source throughput",
        "A 2 GiB download's rate fields agree with each other, and stand beside a raw TCP copy of the same run.",
    ),
)
