#!/bin/sh
# Each internal header brings what it needs. Left out: bodies that kernels include after choosing a type or an instruction set.
# check_internal.sh SOURCE-ROOT CC...
set -u
root=$1
shift
failed=0
for header in $(find "$root/lib" -name '*.h' ! -path '*/lanes/*' ! -path '*/ref/reals.h' | sort); do
    case $header in
    */avx2/*) flags='-mavx2 -mfma -mf16c' ;;
    */avx512/*) flags='-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mf16c' ;;
    *) flags= ;;
    esac
    # shellcheck disable=SC2086
    echo "#include \"$header\"" | "$@" -std=gnu11 -D_GNU_SOURCE -I"$root/lib" -I"$root/include" $flags -Wall -Werror -Wno-unused-function \
        -x c -fsyntax-only - || { echo "not ok - $header"; failed=1; }
done
[ $failed = 1 ] || echo "ok - internal headers stand alone"
exit $failed
