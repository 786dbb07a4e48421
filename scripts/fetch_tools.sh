#!/usr/bin/env bash
# Puts the real `unrar` and `rar` into target/tools/bin, for comparisons and for making archives in tests.
#
# Both are Debian packages of a component that most machines do not have switched on. They are fetched through a
# private apt: its own source list (the machine's mirrors with that component named), its own lists and cache, so no
# package source is changed, nothing is installed, and no root is needed. The result is published with one rename;
# if target/tools is there, all of it is there.
set -euo pipefail

project_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target_dir=${CARGO_TARGET_DIR:-$project_root/target}
tools_dir=$target_dir/tools
programs=(unrar rar)

fail() {
    echo "fetch_tools.sh: $*" >&2
    exit 1
}

# The banner distinguishes the real program from `unrar-free`, which has the same name and reads few archives.
is_real() {
    local output
    output=$("$1" 2>/dev/null </dev/null || true)
    [[ $output == *"Alexander Roshal"* ]]
}

are_complete() {
    local program
    for program in "${programs[@]}"; do
        [[ -x $1/bin/$program ]] || return 1
        is_real "$1/bin/$program" || return 1
    done
}

are_complete "$tools_dir" && { echo "fetch_tools.sh: unrar and rar are in $tools_dir/bin already"; exit 0; }

mkdir -p "$target_dir"
# Two builds may ask at once; the second waits and finds the work done.
if command -v flock >/dev/null; then
    exec 9>"$target_dir/.tools.lock"
    flock 9
    are_complete "$tools_dir" && { echo "fetch_tools.sh: unrar and rar are in $tools_dir/bin already"; exit 0; }
fi

partial_dir=$(mktemp -d "$target_dir/.tools.partial.XXXXXX")
trap 'rm -rf "$partial_dir"' EXIT
chmod 755 "$partial_dir"
mkdir -p "$partial_dir"/{apt/lists/partial,apt/cache/archives/partial,deb,root,bin}

publish() {
    rm -rf "$partial_dir/apt" "$partial_dir/deb"
    are_complete "$partial_dir" || fail "the fetched programs do not run here: $("$partial_dir/bin/unrar" 2>&1 | head -n 1)"
    rm -rf "$tools_dir"
    mv -T "$partial_dir" "$tools_dir"
}

if ! command -v apt-get >/dev/null; then
    for program in "${programs[@]}"; do
        found=$(command -v "$program" || true)
        if [[ -z $found ]] || ! is_real "$found"; then
            fail "needs apt (Debian or Ubuntu), or RARLAB's '$program' on PATH"
        fi
        ln -s "$found" "$partial_dir/bin/$program"
    done
    publish
    echo "fetch_tools.sh: linked unrar and rar from PATH into $tools_dir/bin"
    exit 0
fi

# shellcheck source=/dev/null  # a standard file of variable assignments
distribution=$(. /etc/os-release && echo "${ID:-}")
case $distribution in
ubuntu) component=multiverse origin=Ubuntu ;;
*) component=non-free origin=Debian ;;
esac

# The machine's settings for fetching (proxies, certificates) are kept; its hooks, which run as root after an update
# and touch the machine, are not.
apt_config=$partial_dir/apt/apt.conf
{
    apt-config dump | grep -E '^(Acquire|APT::Architecture)' || true
    cat <<CONFIG
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "$partial_dir/apt/distribution.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "$partial_dir/apt/preferences";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::lists "$partial_dir/apt/lists";
Dir::Cache "$partial_dir/apt/cache";
APT::Sandbox::User "";
APT::Get::List-Cleanup "false";
CONFIG
} >"$apt_config"
# A third-party list that calls itself after the release must not supply the programs.
cat >"$partial_dir/apt/preferences" <<PREFERENCES
Package: *
Pin: release o=$origin
Pin-Priority: 990

Package: *
Pin: release o=*
Pin-Priority: -1
PREFERENCES

private_apt() {
    local log=$partial_dir/apt/log
    # Kept over both steps: `update` only warns about a mirror that it cannot reach, and `download` then misses it.
    if ! (cd "$partial_dir/deb" && APT_CONFIG=$apt_config apt-get -qq "$@") >>"$log" 2>&1; then
        fail "apt-get $* failed: $(grep -m 1 -E '^(E|W):' "$log" || head -n 1 "$log")" \
            "(needs the network and the '$component' component of the $origin archive for $(dpkg --print-architecture))"
    fi
}

fetch_packages() { # COMPONENT PACKAGE...
    local component=$1 archive
    shift
    "$project_root/scripts/distribution_sources.sh" "$component" >"$partial_dir/apt/distribution.sources" ||
        fail "cannot find this machine's own package sources (see above)"
    private_apt update
    private_apt download "$@"
    for archive in "$partial_dir"/deb/*.deb; do
        dpkg-deb -x "$archive" "$partial_dir/root"
        rm -f "$archive"
    done
}

fetch_packages "$component" "${programs[@]}"

# The package installs `unrar-nonfree` and leaves the plain name to the alternatives system.
program_file() {
    local name
    for name in "$1-nonfree" "$1"; do
        [[ -x $partial_dir/root/usr/bin/$name ]] && { echo "$name"; return; }
    done
    fail "the package '$1' holds no program of that name"
}

libraries_missing() {
    ldd "$partial_dir/root/usr/bin/$1" 2>/dev/null | grep -q 'not found'
}

needs_libraries=false
for program in "${programs[@]}"; do
    libraries_missing "$(program_file "$program")" && needs_libraries=true
done
# Only a machine without a C++ run-time gets here.
$needs_libraries && fetch_packages main libstdc++6 libgcc-s1

for program in "${programs[@]}"; do
    file=$(program_file "$program")
    if $needs_libraries; then
        cat >"$partial_dir/bin/$program" <<WRAPPER
#!/bin/sh
root=\$(dirname "\$(readlink -f "\$0")")/../root
for directory in "\$root"/lib/*-linux-gnu* "\$root"/usr/lib/*-linux-gnu*; do
    LD_LIBRARY_PATH=\$directory\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}
done
export LD_LIBRARY_PATH
exec "\$root/usr/bin/$file" "\$@"
WRAPPER
        chmod 755 "$partial_dir/bin/$program"
    else
        # A file of its own rather than a link, so that it can be mounted into a container.
        cp "$partial_dir/root/usr/bin/$file" "$partial_dir/bin/$program"
    fi
done

publish
echo "fetch_tools.sh: fetched unrar and rar from the $component component of the $origin archive into $tools_dir/bin"
