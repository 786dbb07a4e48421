#!/usr/bin/env bash
# Checks the claim `rust-version` of Cargo.toml: that the workspace builds with that release of Rust and newer ones.
#
# The proof is that release itself: the toolchain in use if it is that one, or else one that rustup has. Where there is
# none, two checks find most faults, and the script says that the claim is not proven:
#
#   - no crate that we depend on asks for a newer Rust
#   - the lint clippy::incompatible_msrv, a part of `clippy::all`, finds no newer part of the standard library (this is
#     what scripts/test.sh --only clippy does)
#
# Neither finds newer syntax.
#
# With --checked, the caller says that the toolchain in use has checked the whole workspace a moment ago, as clippy does.
# If it is that release, this is the proof, and nothing is checked a second time.
#
# Exit status 0: proven, 3: nothing found but not proven, any other: the claim is wrong.
set -euo pipefail
cd "$(dirname "$0")/.."

not_proven=3
checked=no
case "${1:-}" in
    --checked) checked=yes ;;
    "") ;;
    *) echo "usage: scripts/msrv.sh [--checked]; $1 is not an option" >&2; exit 2 ;;
esac

declared=$(python3 - <<'PY'
import json, subprocess, sys

def release(text):
    return tuple(int(part) for part in text.split(".")) + (0,) * (2 - text.count("."))

metadata = json.loads(subprocess.check_output(["cargo", "metadata", "--format-version=1", "--locked"]))
members = set(metadata["workspace_members"])
ours = {package["rust_version"] for package in metadata["packages"] if package["id"] in members}
if len(ours) != 1 or None in ours:
    sys.exit(f"msrv.sh: every crate of the workspace must declare the same rust-version; got {ours}")
declared = ours.pop()
newer = [
    f"msrv.sh: {package['name']} {package['version']} needs Rust {package['rust_version']}; we declare {declared}"
    for package in metadata["packages"]
    if package["rust_version"] and release(package["rust_version"]) > release(declared)
]
if newer:
    sys.exit("\n".join(newer))
print(declared)
PY
)

# Whether a toolchain is of the declared release: 1.95 is 1.95.0, 1.95.1 and so on.
is_declared() { [[ $1 =~ ^rustc\ ${declared//./\\.}[.\ ] ]]; }

toolchain=()
if ! is_declared "$(rustc --version)"; then
    while read -r name _; do
        if is_declared "$(rustc "+$name" --version 2> /dev/null)"; then toolchain=("+$name"); fi
    done < <(rustup toolchain list 2> /dev/null || true)
    if [ ${#toolchain[@]} -eq 0 ]; then
        echo "msrv.sh: NOT proven that the workspace builds with Rust $declared: there is only $(rustc --version)." \
            "To prove it: rustup toolchain install --profile minimal $declared" >&2
        exit "$not_proven"
    fi
    # Apart from what the other toolchain has built.
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/msrv
    checked=no
fi
[ "$checked" = yes ] || cargo "${toolchain[@]}" check --quiet --workspace --all-targets --locked
echo "msrv.sh: the workspace builds with $(rustc "${toolchain[@]}" --version), and Rust $declared is declared"
