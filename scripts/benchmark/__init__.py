"""The published benchmark. `scripts/bench.py` is its command, docs/performance.md shows what it measured.

From the top: `bench.py` reads the options; `measure` runs the rounds; `contenders` are the things that are timed, each
with the `programs` that it starts through `launch`; `works` says what they work on and `making` makes it. `aims`,
`statistics` and the four reports (`text`, `pages`, `picture`, `document`) are pure functions of the samples.
"""
