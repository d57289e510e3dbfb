#!/usr/bin/env bash
# Run a command where Swift 6 is, with the repository at /src and its folder build/ios at /build:
#
#   ios_demo/tools/swift_root.sh swift test --package-path /src/ios_demo/LeViTCore --scratch-path /build/core
#
# That place is a Debian trixie with the compiler in a folder of the user's cache (2.5 GB, made once, by mmdebstrap). It is
# kept by the content of this file. Nothing is mounted that others see: mounts live in a namespace that ends with the
# command, whatever happens to it. Exit status 69: it cannot be had here, and standard error says why.
set -euo pipefail

packages=swiftlang,g++,libc6-dev,bash,coreutils,dash,findutils,grep,libc-bin,sed
release=trixie
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
cache=${LEVIT_MOBILE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/levit-mobile}/swift
root=$cache/$release-$(sha256sum <"${BASH_SOURCE[0]}" | cut -c1-8)

unavailable() {
  echo "no Swift here: $1" >&2
  exit 69
}

namespace=(unshare --mount --fork)
if [ "$(id -u)" != 0 ]; then
  namespace+=(--user --map-root-user)
fi
command -v unshare >/dev/null || unavailable "unshare is missing (util-linux); this needs Linux"
"${namespace[@]}" true 2>/dev/null || unavailable "no namespace for mounts may be made; run this as root"

# Packages are unpacked only: no script of theirs has to run for a compiler, and so no root is needed either.
make_root() {
  command -v mmdebstrap >/dev/null || unavailable "mmdebstrap is missing; type apt-get install mmdebstrap"
  local mode=chrootless mirror line
  local options=() mirrors=()
  [ "$(id -u)" = 0 ] && mode=root
  if command -v apt-config >/dev/null; then
    # How this machine's apt reaches its mirrors, and which: mmdebstrap's own does not read that.
    while read -r line; do options+=("--aptopt=$line"); done \
      < <(apt-config dump | grep -E '^Acquire::(https?|Retries|Check-|Force)' || true)
    mirror=$(apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
      sed -n '/-security/d; s/^Debian main //p' | head -1)
    [ -n "$mirror" ] && mirrors=("deb $mirror $release main")
  fi
  rm -rf "$root.part"
  echo "fetching Debian $release with Swift into $root (once, 2.5 GB)" >&2
  if ! mmdebstrap --quiet --variant=extract --mode=$mode --include=$packages "${options[@]}" \
    --setup-hook='for d in bin lib lib64 sbin; do mkdir -p "$1/usr/$d" && ln -sf "usr/$d" "$1/$d"; done' \
    $release "$root.part" "${mirrors[@]}" >&2; then
    rm -rf "$root.part"
    unavailable "Debian's packages could not be fetched; see that apt-get update works"
  fi
  rm -rf "$root.part"/var/cache/apt "$root.part"/var/lib/apt "$root.part"/usr/share/{doc,locale,man}
  mkdir -p "$root.part"/{proc,dev,tmp,src,build}
  chmod 1777 "$root.part/tmp"
  mv "$root.part" "$root"
}

mkdir -p "$cache" "$repository/build/ios"
exec 9>"$root.lock"
flock 9 # another process may be making it
[ -d "$root" ] || make_root
exec 9>&-

# shellcheck disable=SC2016
exec "${namespace[@]}" bash -c '
  set -e
  root=$1 repository=$2
  shift 2
  mount --rbind /proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount --bind "$repository" "$root/src"
  mount --bind "$repository/build/ios" "$root/build"
  exec chroot "$root" /usr/bin/env -i PATH=/usr/libexec/swift/bin:/usr/bin:/bin HOME=/tmp LC_ALL=C.UTF-8 "$@"
' swift_root "$root" "$repository" "$@"
