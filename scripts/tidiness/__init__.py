"""What `scripts/tidy.py` checks: which Rust file uses which, which room may use which, lengths, names and words.

rust.py     one Rust file: its tokens, its modules, what they define and what they use
graph.py    all crates: each use, followed through re-exports to the file that defines the name; circles
rooms.py    the table of allowed arrows (scripts/architecture.toml), its check and its picture
limits.py   files that are too long, public types that share a name
prose.py    words that plain English does without
"""
