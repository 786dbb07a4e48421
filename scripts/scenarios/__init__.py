"""The scenario matrix: real peers in containers, driven through the command line a user has.

    matrix/         the scenarios, one module for each group; `planned.py` holds the rows that nothing checks yet
    contract.py     what a scenario is, and how a check fails
    stage.py        what a scenario acts on: folders, sources, receivers, commands
    checks.py       what many scenarios check, on both sides
    peer.py         one process in its container, with its whole event log (events.py)
    relay.py        a lying source: a relay that changes one thing on the way
    trees.py        full comparison of what is on disk
    archives.py     archives by the real `rar` and `unrar`; rar_format.py changes single header fields
    payload.py      synthetic content, the same on every run
    image.py        the image with the program in it
    docker.py, cleanup.py, runner.py, tools.py   the machinery around them

A new scenario is one decorated function in a module of `matrix/`: its number leaves `planned.py`, its claim is one
sentence, and it asserts that the mechanism under test has fired as well as what came of it.
"""
