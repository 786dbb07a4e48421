#!/usr/bin/env bash
# Builds lanspread, serves a demo game on loopback, installs it by streaming into a fresh folder and shows the tree.
# Everything is made below target/quickstart and stays there to be looked at; the source is stopped at the end.
set -euo pipefail

project_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target_dir=${CARGO_TARGET_DIR:-$project_root/target}
work_dir=$target_dir/quickstart
demo_game=$project_root/fixtures/fixture-solid/cnctw
game=$(basename "$demo_game")
source_pid=

say() { printf '\n== %s\n' "$*"; }
fail() { echo "quickstart.sh: $*" >&2; exit 1; }
stop_source() {
    [[ -z $source_pid ]] || { kill "$source_pid" && wait "$source_pid"; } 2>/dev/null || true
}
trap stop_source EXIT
trap 'exit 130' INT TERM

command -v cargo >/dev/null || fail "cargo is missing; install Rust 1.95 or newer"
command -v cc >/dev/null || fail "cc is missing, which Rust links with; on Debian and Ubuntu: apt install gcc"
[[ -f $demo_game/version.ini ]] || fail "$demo_game is missing; is this a complete checkout?"

say "Building (some minutes the first time)"
cargo build --release --package lanspread-peer-cli --manifest-path "$project_root/Cargo.toml" --target-dir "$target_dir"
peer=$target_dir/release/lanspread-peer-cli

rm -rf "$work_dir"
mkdir -p "$work_dir/source-games"
cp -R "$demo_game" "$work_dir/source-games/"

say "A source with one game: a folder with a solid RAR archive and version.ini"
ls -l "$work_dir/source-games/$game"
XDG_STATE_HOME=$work_dir/source-home "$peer" serve --json --games-dir "$work_dir/source-games" --listen 127.0.0.1:0 --name demo-source \
    --state-dir "$work_dir/source-state" --no-discovery >"$work_dir/source.jsonl" &
source_pid=$!
address=
for _ in {1..100}; do # 10 s
    address=$(sed -n '/"peer-ready"/s/.*"addr":"\([^"]*\)".*/\1/p' "$work_dir/source.jsonl")
    [[ -z $address ]] || break
    kill -0 "$source_pid" 2>/dev/null || fail "the source ended; its message is above"
    sleep 0.1
done
[[ -n $address ]] || fail "the source did not say that it is ready; see $work_dir/source.jsonl"

# What a person types on a machine of its own has no option. These variables keep the demonstration off the network and
# the files below target/quickstart instead of ~/.local.
export LANSPREAD_PEER=$address LANSPREAD_NO_DISCOVERY=1 LANSPREAD_CONFIG=/dev/null
export XDG_DATA_HOME=$work_dir/data XDG_STATE_HOME=$work_dir/state
say "lanspread-peer-cli install --stream $game"
"$peer" install --stream "$game"

tree=$XDG_DATA_HOME/lanspread/games/$game/local
files=$(cd "$tree" && find . -type f | sort | sed 's|^\./||')
say "Installed in $tree"
head -n 8 <<<"$files"
echo "… $(wc -l <<<"$files") files in all. No archive was stored, so this game is not offered to others:"
"$peer" list
