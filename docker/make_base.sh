#!/usr/bin/env bash
# Makes the Debian base image that docker/Dockerfile needs, under the given tag, unless it is there already.
#
#   docker/make_base.sh TAG
#
# A registry is asked first. Where none can be reached, the base is put together from the machine's own package
# sources with mmdebstrap (about 25 s) and imported. Either way it is of the machine's own release, so that a program
# built here runs in it.
set -euo pipefail

fail() {
    echo "make_base.sh: $*" >&2
    exit 1
}

[[ $# == 1 ]] || fail "usage: make_base.sh TAG"
tag=$1
project_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

command -v docker >/dev/null || fail "needs the docker command"
docker image inspect "$tag" >/dev/null 2>&1 && exit 0

[[ -r /etc/os-release ]] || fail "no /etc/os-release; make a Debian base image yourself and tag it $tag"
# shellcheck source=/dev/null  # a standard file of variable assignments
distribution=$(. /etc/os-release && echo "${ID:-}")
# shellcheck source=/dev/null
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")

case $distribution in
debian) public_image=debian:$codename-slim ;;
*) public_image=$distribution:$codename ;;
esac
# The time limit is for networks that swallow packets to the outside instead of refusing them.
if timeout 120 docker pull --quiet "$public_image" >/dev/null 2>&1; then
    docker tag "$public_image" "$tag"
    echo "make_base.sh: $tag is $public_image"
    exit 0
fi

command -v mmdebstrap >/dev/null ||
    fail "cannot pull $public_image, and mmdebstrap is not here to make a base: apt-get install mmdebstrap"

sources=$("$project_root/scripts/distribution_sources.sh" main) || fail "no package sources to make a base from"
rootfs=$(mktemp --tmpdir lanspread-base.XXXXXX.tar)
log=$rootfs.log
trap 'rm -f "$rootfs" "$log"' EXIT

# `essential` has no apt: what an image needs is named here (`passwd`: the Debian package makes its user with it).
# Documentation is left out for size.
if ! mmdebstrap --variant=essential --include=iproute2,iptables,libstdc++6,passwd \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$codename" "$rootfs" - <<<"$sources" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    fail "mmdebstrap failed (its last lines are above)"
fi
docker import "$rootfs" "$tag" >/dev/null
echo "make_base.sh: $tag made with mmdebstrap from $distribution $codename"
