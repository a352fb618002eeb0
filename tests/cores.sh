#!/bin/sh
# Tests with other kernels of OpenBLAS, as processors of other makes and years run them; the logs are build/cores-CORE.json. A core that
# this processor cannot run, or that OpenBLAS was built without, is left out and said. cores.sh BUILD-FOLDER CORES TEST...
set -eu
cd "$(dirname "$0")/.."
. tests/common.sh
built=$1 cores=$2
shift 2

has() { # words of /proc/cpuinfo's flags
    for flag in "$@"; do
        grep -q -w -m 1 "$flag" /proc/cpuinfo || { echo "this processor has no $flag"; return 1; }
    done
}

runs() { # core
    case $1 in
    Prescott) has pni ;;
    Core2) has ssse3 ;;
    Nehalem) has sse4_2 ;;
    Sandybridge) has avx ;;
    Haswell | Zen) has avx2 fma ;;
    SkylakeX) has avx512f avx512bw avx512dq avx512vl ;;
    Cooperlake) has avx512f avx512bw avx512dq avx512vl avx512_bf16 ;;
    SapphireRapids) has avx512f avx512bw avx512dq avx512vl avx512_bf16 amx_tile amx_bf16 ;;
    *) echo 'not a core that this script knows'; return 1 ;;
    esac || return 1
    OPENBLAS_CORETYPE=$1 "$built/examples/cli/sparse24" version --verbose | grep -q "^blas .* $1\$" ||
        { echo 'OpenBLAS was built without it'; return 1; }
}

# Two cores at a time: their tests seldom use more than one thread.
test_core() { # core, test...
    core=$1
    shift
    OPENBLAS_CORETYPE=$core
    export OPENBLAS_CORETYPE
    run "cores-$core" "$built" --no-rebuild --num-processes 1 "$@" >"build/cores-$core.log" 2>&1
    cat "build/cores-$core.log"
    exit $status
}

finish() {
    for process in $pending; do wait "$process" || status=1; done
    pending=
}

pending=
for core in $cores; do
    why=$(runs "$core") || { echo "$core is left out: $why"; continue; }
    test_core "$core" "$@" &
    pending="$pending $!"
    case $pending in *\ *\ *) finish ;; esac
done
finish
exit $status
