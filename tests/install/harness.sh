# What check.sh and wheel.sh share; they source it once $scratch is a folder.
failed=0

check() # name, command...
{
    name=$1
    shift
    if "$@" >"$scratch/log" 2>&1; then
        echo "ok $name"
    else
        echo "not ok $name"
        sed 's/^/    /' "$scratch/log"
        failed=1
    fi
}
