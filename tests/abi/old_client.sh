#!/bin/sh
# Programs of an earlier version run against today's library: check out COMMIT (default: the last release, tag v*), build it with its own
# headers, then run those of its tests and examples that use the public interface alone with today's library in place of their own.
#   old_client.sh TODAY.so [COMMIT]        exit 77 (skipped) while there is no release
set -eu
cd "$(dirname "$0")/../.."
today=$(realpath "$1")
commit=${2:-$(git describe --tags --match 'v*' --abbrev=0 2>/dev/null || true)}
[ -n "$commit" ] || { echo "no release yet: nothing to compare with"; exit 77; }

work=$PWD/build/old-client
rm -rf "$work"
mkdir -p "$work"
git archive "$commit" | tar -x -C "$work"
meson setup "$work/build" "$work" --buildtype=release -Dbench=false >"$work/log"
nice ninja -C "$work/build" >>"$work/log" || { tail -20 "$work/log"; exit 1; }
# The dynamic linker takes the preloaded library for the one of that soname.
soname() { readelf -d "$1" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p'; }
old=$(find "$work/build/lib" -name 'libsparse24.so.*' -type f | head -1)
if [ "$(soname "$old")" != "$(soname "$today")" ]; then
    echo "ok - $(soname "$today") is another interface than $(soname "$old") of $commit: both can be installed"
    exit 0
fi
status=0
for name in solvers examples; do
    # Its tests had time-outs.
    CK_TIMEOUT_MULTIPLIER=100 LD_PRELOAD=$today meson test -C "$work/build" --no-rebuild --timeout-multiplier 0 --suite "$name" >"$work/$name.log" 2>&1 || status=1
    tail -8 "$work/$name.log"
done
[ $status = 0 ] && echo "ok - programs of $commit run with today's library" || echo "not ok - programs of $commit fail with today's library"
exit $status
