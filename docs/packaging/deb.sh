#!/bin/sh
# Debian packages of what is committed: the libraries, their headers, the program, the Python module. deb.sh [FOLDER] (default: build/deb)
set -eu
cd "$(dirname "$0")/../.."
folder=${1:-build/deb}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
version=$(sed -n "s/^  version: '\(.*\)',/\1/p" meson.build)

missing=
for package in debhelper dpkg-dev meson pkg-config libopenblas-dev liblapacke-dev libpcre2-dev python3; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
if [ -n "$missing" ]; then
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y --no-install-recommends $missing
fi

rm -rf "$folder"/*
mkdir "$folder/source"
git archive HEAD | tar -x -C "$folder/source"
cd "$folder/source"
mv docs/packaging/debian debian
mkdir -p debian/source
echo '3.0 (native)' >debian/source/format
cat >debian/changelog <<END
sparse24 ($version) unstable; urgency=medium

  * See NEWS.md.

 -- The libsparse24 authors <sparse24@localhost>  $(git -C "$OLDPWD" log -1 --format=%cD)
END
dpkg-buildpackage --build=binary --no-sign >"$folder/log" 2>&1 || {
    tail -n 30 "$folder/log"
    exit 1
}
cd ..
rm -rf source
ls -l ./*.deb
