#!/bin/sh
# The Python package of the release's tarball in a virtual environment of its own, without the checkout: libraries, module and program.
# What docs/packaging/wheel.sh adds, OpenBLAS inside, is not tried here. Usage: wheel.sh TARBALL SCRATCH-DIR LAYERS.safetensors
# shellcheck disable=SC2317 # functions are called by check
set -u
tarball=$1 scratch=$2
layers=$(CDPATH='' cd -- "$(dirname -- "$3")" && pwd)/$(basename -- "$3")
rm -rf "$scratch"
mkdir -p "$scratch"
scratch=$(CDPATH='' cd -- "$scratch" && pwd)
. "$(dirname "$0")/harness.sh"
# The system's own Python has the package that builds wheels; another may come first.
python=
for one in python3 /usr/bin/python3; do
    [ -n "$python" ] || ! "$one" -c 'import mesonpy, pip' 2>/dev/null || python=$one
done

build()
{
    mkdir "$scratch/source" && tar -x -z -f "$tarball" --strip-components=1 -C "$scratch/source" &&
        "$python" -m pip wheel --no-deps --no-build-isolation --no-index --config-settings=setup-args=-Dbuildtype=debug -w "$scratch" "$scratch/source" &&
        rm -rf "$scratch/source"
}

install()
{
    "$python" -m venv "$scratch/venv" && "$scratch/venv/bin/pip" install --no-index --no-deps "$scratch"/sparse24-*.whl
}

solves()
{
    cd / && "$scratch/venv/bin/python" -c "
import sparse24
file = sparse24.File('$layers')
gram = sparse24.Gram(576)
gram.add(file['x.attn'])
result = sparse24.Solver('magnitude').solve(sparse24.Problem(file['w.k'], gram, '2:4'))
assert 0 < result.relative_loss < 1, result.relative_loss
print(sparse24._path)" | grep "^$scratch/venv/"
}

check 'the tarball makes a wheel' build
check 'a virtual environment takes it' install
check 'its module solves with its own library' solves
check 'its program starts' "$scratch/venv/bin/sparse24" version --verbose
check 'its module tells what it brings' "$scratch/venv/bin/python" -m sparse24
exit $failed
