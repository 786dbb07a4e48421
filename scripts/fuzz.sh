#!/usr/bin/env bash
# Builds the fuzz targets of the crates with the stable toolchain and runs them.
#
#   scripts/fuzz.sh                              every target for 1 s
#   scripts/fuzz.sh --seconds 600 codec frame    these two for 10 minutes each, optimised
#   scripts/fuzz.sh --build                      builds what the first line runs, and runs nothing
#   scripts/fuzz.sh --list                       names the targets
#   scripts/fuzz.sh --update-lock                after a change of dependencies: the same versions for the fuzz targets
#
# New inputs are kept in target/fuzz/corpus, and inputs that fail in target/fuzz/artifacts. docs/testing.md says more.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "fuzz.sh: $1" >&2; exit 1; }
usage() { echo "usage: scripts/fuzz.sh [--seconds N | --build | --list | --update-lock] [TARGET...]; $1" >&2; exit 2; }

# A run of this many seconds is worth an optimised build.
optimised_from_seconds=60
# An input that takes longer is a finding: every parser here is bounded.
input_timeout_seconds=10

# Every seed is run, however short the time; the rest of it is for new inputs.
seconds=1
action=run
while [ $# -gt 0 ]; do
    case "$1" in
        --seconds)
            [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || usage "--seconds needs a number of at least 1"
            seconds=$2
            shift
            ;;
        --build) action=build ;;
        --list) action=list ;;
        --update-lock) action=update_lock ;;
        -*) usage "$1 is not an option" ;;
        *) break ;;
    esac
    shift
done

# Every target, with its crate.
declare -A folder_of=()
for file in crates/*/fuzz/fuzz_targets/*.rs; do
    name=$(basename "$file" .rs)
    [ -z "${folder_of[$name]:-}" ] || fail "two targets are called $name"
    folder_of[$name]=${file%/fuzz_targets/*}
done
mapfile -t all < <(printf '%s\n' "${!folder_of[@]}" | sort)

update_lock() {
    cp Cargo.lock fuzz/Cargo.lock
    # Removes what the targets do not need and adds the fuzzer.
    cargo update --quiet --workspace --manifest-path fuzz/Cargo.toml
}

case $action in
    list)
        printf '%s\n' "${all[@]}"
        exit
        ;;
    update_lock)
        update_lock
        exit
        ;;
esac

targets=("${all[@]}")
[ $# -eq 0 ] || targets=("$@")
for target in "${targets[@]}"; do
    [ -n "${folder_of[$target]:-}" ] || usage "$target is not a target: expected ${all[*]}"
done

# What is fuzzed is what is built: a crate of both lock files has the same versions in both.
python3 - <<'PY' || fail "run scripts/fuzz.sh --update-lock"
import pathlib, sys, tomllib

def versions(path):
    found = {}
    for package in tomllib.loads(path.read_text())["package"]:
        found.setdefault(package["name"], set()).add(package["version"])
    return found

ours = versions(pathlib.Path("Cargo.lock"))
other = [
    f"fuzz.sh: fuzz/Cargo.lock has {name} {', '.join(sorted(got))}, Cargo.lock has {', '.join(sorted(ours[name]))}"
    for name, got in versions(pathlib.Path("fuzz/Cargo.lock")).items()
    if name in ours and not got <= ours[name]
]
sys.exit("\n".join(other) or 0)
PY

# Coverage counters for libFuzzer. Each of these is a stable flag of rustc; the sanitizers, which need a nightly
# toolchain, look for faults of unsafe code, which is forbidden in our crates.
flags=(
    -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares
    --cfg=fuzzing
)
build=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
# An incremental build would take 1.0 GiB instead of 0.6, for a second build that is seldom made.
export CARGO_INCREMENTAL=0
# Named, so that the flags are not used for build scripts and procedural macros.
triple=$(rustc -vV | sed -n 's/^host: //p')
profile=(debug)
[ "$seconds" -lt "$optimised_from_seconds" ] || profile=(release --release)

# All of them with the features of all, also where only some are wanted, so that nothing is built twice.
chosen=(--workspace)
for target in "${targets[@]}"; do chosen+=(--bin "$target"); done
CARGO_TARGET_DIR=$build CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f'; echo "${flags[*]}") \
    cargo build --quiet --locked --target "$triple" --manifest-path fuzz/Cargo.toml "${chosen[@]}" "${profile[@]:1}"
[ "$action" = run ] || exit 0

# In memory where that is possible: targets that read files write one for each input. Kept short for socket paths.
scratch=$(mktemp -d "$([ -w /dev/shm ] && echo /dev/shm || echo /tmp)/lanspread-fuzz.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$build/artifacts" "$build/log"

# TARGET SEEDS
run_target() {
    local target=$1 seeds=$2 log=$build/log/$1.log
    [ -n "$(ls "$seeds")" ] || { echo "fuzz.sh: $target has no seeds in $seeds" >&2; return 1; }
    mkdir -p "$build/corpus/$target"
    # The first folder takes new inputs. The same seed, so that a short run is the same run wherever it can be.
    if TMPDIR=$scratch "$programs/$target" -seed=1 -max_total_time="$seconds" -timeout="$input_timeout_seconds" \
        -artifact_prefix="$build/artifacts/$target-" "$build/corpus/$target" "$seeds" > "$log" 2>&1; then
        echo "$target: $(grep --text '^Done' "$log" | tail -n 1)"
    else
        grep --text --after-context 3 -E 'panicked at|ERROR: libFuzzer|Test unit written' "$log" | head -n 20 >&2
        echo "fuzz.sh: $target FAILED; the whole output is in $log" >&2
        return 1
    fi
}
export -f run_target
export build scratch seconds input_timeout_seconds programs="$build/$triple/${profile[0]}"

for target in "${targets[@]}"; do
    printf '%s\0%s\0' "$target" "${folder_of[$target]}/corpus/$target"
done | xargs -0 -n 2 -P "$(nproc)" bash -c 'run_target "$@"' run_target || fail "some targets failed (see above)"
echo "fuzz.sh: ${#targets[@]} targets passed"
