#!/usr/bin/env bash
# Builds the Debian package into target/package/. The last line of its output is the package's path.
#
# cargo-deb is installed below target/package-tools on the first run (about a minute) and kept there.
set -euo pipefail

project_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target_dir=${CARGO_TARGET_DIR:-$project_root/target}
# The package's metadata names these folders, so they do not follow CARGO_TARGET_DIR.
package_dir=$project_root/target/package
tools_dir=$project_root/target/package-tools
cargo_deb_version=3.8.0

fail() { echo "build_package.sh: $*" >&2; exit 1; }

command -v cargo >/dev/null || fail "cargo is missing; install Rust 1.95 or newer"
# It finds out which C library the program needs.
command -v dpkg-shlibdeps >/dev/null || fail "dpkg-shlibdeps is missing: apt-get install dpkg-dev"

if [[ $("$tools_dir/bin/cargo-deb" --version 2>/dev/null) != *" $cargo_deb_version" ]]; then
    # A debug build without the LZMA library: quick to make, and quick enough at what it does here.
    cargo install --quiet --locked --debug --no-default-features --root "$tools_dir" \
        --target-dir "$tools_dir/build" cargo-deb --version "$cargo_deb_version"
    rm -rf "$tools_dir/build"
fi

cd "$project_root"
cargo build --quiet --release --locked --package lanspread-peer-cli --target-dir "$target_dir"
program=$target_dir/release/lanspread-peer-cli

# Nothing of an earlier build may get into this one.
rm -rf "$package_dir"
mkdir -p "$package_dir"/completions/{bash,zsh,fish}
# The user who builds may have a mask of their own; these files are the same for all.
export LANSPREAD_CONFIG=/dev/null
"$program" completions bash >"$package_dir/completions/bash/lanspread-peer-cli"
"$program" completions zsh >"$package_dir/completions/zsh/_lanspread-peer-cli"
"$program" completions fish >"$package_dir/completions/fish/lanspread-peer-cli.fish"
"$program" manual --out-dir "$package_dir/man1"

# What changed, under the name that Debian expects, and in the format that its tools read.
gzip --best --no-name <CHANGELOG.md >"$package_dir/changelog.gz"
version=$("$program" --version)
maintainer=$(sed -n 's/^maintainer = "\(.*\)"$/\1/p' crates/lanspread-peer-cli/Cargo.toml)
# The date of what is packaged, so that the same sources give the same package.
seconds=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
cat >"$package_dir/changelog.Debian" <<EOF
lanspread-peer (${version##* }-1) unstable; urgency=medium

  * See /usr/share/doc/lanspread-peer/changelog.gz.

 -- $maintainer  $(date --utc --rfc-email --date="@$seconds")
EOF

CARGO_TARGET_DIR=$target_dir "$tools_dir/bin/cargo-deb" deb --quiet --no-build --package lanspread-peer-cli \
    --output "$package_dir/" >/dev/null
packages=("$package_dir"/*.deb)
[[ ${#packages[@]} == 1 && -s ${packages[0]} ]] || fail "expected one package, got: ${packages[*]}"
echo "${packages[0]}"
