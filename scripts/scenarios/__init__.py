"""The scenario matrix: real peers in containers, driven through the command line a user has.

    matrix/         the scenarios, one module for each group; `planned.py` holds the rows that nothing checks yet
    contract.py     what a scenario is
    expectations.py how a check fails, and how long it may wait
    stage.py        what a scenario acts on: folders, sources, receivers, commands
    small_disk.py   a games directory that is really full at its size
    checks.py       what many scenarios check, on both sides
    download_checks.py  what holds of every download, on both sides
    games.py        games that many scenarios use: slow ones to stream, marked ones to download
    rooms.py        receivers of one packed stream, and what holds of them
    slow_machine.py a machine that unpacks at a given pace
    taken_along.py  programs of this machine that containers run
    open_files.py   whether a process has something packed in a file
    listings.py     what `list` and `peers` print
    metrics.py      what `metrics` prints, as numbers
    hall.py         very many seats in one container, each with a network of its own
    watch.py        what happened in a folder, in its order
    process.py      one attached process, with its whole event log (events.py)
    peer.py         one process in its container
    host_peer.py    a peer on this machine, from which the scenarios must be isolated
    nginx.py        an HTTP server that has games, on a machine of its own
    bad_servers.py  an HTTP server of the harness itself that answers wrongly
    webdriver.py    a browser of this machine, driven over WebDriver
    page_checks.py  what holds of every view of the room page
    web_room.py     made-up rooms for the page; web_server.py answers with one as a daemon does
    doubles.py      programs that stand in for peers: sources that lie, a proxy that damages what passes
    trees.py        full comparison of what is on disk
    archives.py     archives by the real `rar` and `unrar`; rar_format.py changes single header fields
    payload.py      synthetic content, the same on every run
    image.py        the image with the program in it
    crew.py         runs them side by side, in pairs or alone, as each of them needs
    report.py       results on the terminal, as JSON and as JUnit's XML; the matrix as docs/scenarios.md
    docker.py, cleanup.py, runner.py, tools.py   the machinery around them

To add a scenario, write one decorated function in a module of `matrix/`, remove its number from `planned.py`, and
generate docs/scenarios.md again. Its claim is a sentence or two. It asserts the result, and also that the mechanism
under test was at work. Scenarios run side by side, and times that only slowed links decide are the same then. One that
measures other times, or needs the whole machine, says `most_at_once=ALONE`, and one with many machines that measures
time `IN_PAIRS`. One in which the harness itself connects to peers says `with_this_machine=True`: otherwise this machine
has no address on its network.
"""
