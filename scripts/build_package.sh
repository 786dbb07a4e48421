#!/usr/bin/env bash
# Builds the Debian package into target/package/. The last line of its output is the package's path.
#
# packaging/control says what the package is (`passwd` has the useradd of packaging/debian/postinst). What it holds is
# listed below, in `install_files`.
set -euo pipefail

project_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target_dir=${CARGO_TARGET_DIR:-$project_root/target}
package_dir=$project_root/target/package
# What is in the package, as on the machine that installs it; where the tools of Debian look for it.
tree=$package_dir/debian/lanspread-peer

fail() { echo "build_package.sh: $*" >&2; exit 1; }

command -v cargo >/dev/null || fail "cargo is missing; install Rust 1.95 or newer"
# It finds out which C library the program needs.
command -v dpkg-shlibdeps >/dev/null || fail "dpkg-shlibdeps is missing: apt-get install dpkg-dev"

cd "$project_root"
# `--version` names it. An archive of the sources has none.
if LANSPREAD_COMMIT=$(git rev-parse --short=12 HEAD 2>/dev/null); then
    export LANSPREAD_COMMIT
else
    unset LANSPREAD_COMMIT
fi
cargo build --quiet --release --locked --package lanspread-peer-cli --target-dir "$target_dir"
program=$target_dir/release/lanspread-peer-cli

# Nothing of an earlier build may get into this one.
rm -rf "$package_dir"
# The user who builds may have a mask and settings of their own; these files are the same for all.
umask 022
export LANSPREAD_CONFIG=/dev/null
# The date of what is packaged, so that the same sources give the same package. `dpkg-deb` reads it too.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

version=$("$program" -V)
version=${version##* }-1
# The project has no address yet, and nothing sent to .invalid reaches anyone. A distributor puts its own into the file.
maintainer=$(sed -n 's/^Maintainer: //p' packaging/control)

# MODE FOLDER FILE...
put() {
    local mode=$1 folder=$tree/$2
    shift 2
    mkdir -p "$folder"
    install --mode "$mode" --target-directory "$folder" -- "$@"
}

install_files() {
    local documents=usr/share/doc/lanspread-peer completions=usr/share
    put 755 usr/bin "$program"
    strip --strip-unneeded "$tree/usr/bin/lanspread-peer-cli"
    # A second, shorter name of the program. Scripts rely on the first one.
    ln --symbolic lanspread-peer-cli "$tree/usr/bin/lanspread"
    put 644 etc/lanspread packaging/lanspread.toml
    put 644 usr/lib/systemd/system packaging/lanspread-peer.service packaging/lanspread-peer@.service
    put 644 "$documents" packaging/copyright LICENSE-MIT LICENSE-APACHE README.md
    put 644 "$documents/docs" docs/*.md docs/event-schema.json

    mkdir -p "$tree/$completions"/{bash-completion/completions,zsh/vendor-completions,fish/vendor_completions.d}
    "$program" completions bash >"$tree/$completions/bash-completion/completions/lanspread-peer-cli"
    "$program" completions zsh >"$tree/$completions/zsh/vendor-completions/_lanspread-peer-cli"
    "$program" completions fish >"$tree/$completions/fish/vendor_completions.d/lanspread-peer-cli.fish"
    "$program" manual --out-dir "$tree/usr/share/man/man1"
    gzip --best --no-name "$tree"/usr/share/man/man1/*.1
    # The zsh script names both programs by itself.
    ln --symbolic lanspread-peer-cli "$tree/$completions/bash-completion/completions/lanspread"
    ln --symbolic lanspread-peer-cli.fish "$tree/$completions/fish/vendor_completions.d/lanspread.fish"
    ln --symbolic lanspread-peer-cli.1.gz "$tree/usr/share/man/man1/lanspread.1.gz"

    # What changed, under the name that Debian expects, and in the format that its tools read.
    gzip --best --no-name <CHANGELOG.md >"$tree/$documents/changelog.gz"
    gzip --best --no-name <<EOF >"$tree/$documents/changelog.Debian.gz"
lanspread-peer ($version) unstable; urgency=medium

  * See /usr/share/doc/lanspread-peer/changelog.gz.

 -- $maintainer  $(date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")
EOF
}

# The packages of the libraries that the program was linked with.
libraries() {
    # It does not run without the description of a source package.
    printf 'Source: lanspread\n\nPackage: lanspread-peer\nArchitecture: any\n' >"$package_dir/debian/control"
    (cd "$package_dir" && dpkg-shlibdeps -O "$tree/usr/bin/lanspread-peer-cli") | sed -n 's/^shlibs:Depends=//p'
}

describe() {
    local needed kib
    needed=$(libraries)
    [[ -n $needed ]] || fail "dpkg-shlibdeps names no library that the program needs"
    kib=$(du --summarize --apparent-size --block-size=1K "$tree" | cut -f 1)
    mkdir "$tree/DEBIAN"
    sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$(dpkg --print-architecture)/" \
        -e "s/@INSTALLED_KIB@/$kib/" -e "s/@LIBRARIES@/$needed/" packaging/control >"$tree/DEBIAN/control"
    install --mode 755 --target-directory "$tree/DEBIAN" packaging/debian/*
    (cd "$tree" && find etc -type f -printf '/%p\n' | sort) >"$tree/DEBIAN/conffiles"
    (cd "$tree" && find usr -type f -print0 | sort --zero-terminated | xargs --null md5sum) >"$tree/DEBIAN/md5sums"
}

install_files
describe
dpkg-deb --root-owner-group --build "$tree" "$package_dir" >/dev/null
rm -r "$package_dir/debian"
packages=("$package_dir"/*.deb)
[[ ${#packages[@]} == 1 && -s ${packages[0]} ]] || fail "expected one package, got: ${packages[*]}"
echo "${packages[0]}"
