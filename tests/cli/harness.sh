# What the tests of the program share: a scratch folder $tmp, running the program $cli, one line a check.
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM
count=0
failed=0

# check NAME COMMAND...: the command's success is the check's.
check()
{
    name=$1
    shift
    count=$((count + 1))
    if "$@"; then
        echo "ok $count - $name"
    else
        echo "not ok $count - $name"
        sed 's/^/# stdout: /' "$tmp/out"
        sed 's/^/# stderr: /' "$tmp/err"
        failed=$((failed + 1))
    fi
}

# Run the program; leaves $status, $tmp/out, $tmp/err.
run()
{
    status=0
    "$cli" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
}

succeeded()
{
    [ "$status" -eq 0 ] && [ ! -s "$tmp/err" ]
}

says() # PATTERN, in standard output
{
    grep -q -e "$1" "$tmp/out"
}

lines()
{
    [ "$(wc -l <"$tmp/$1")" -eq "$2" ]
}

# refused NAME STATUS PATTERN ARGUMENTS...: fails with this status and text and writes nothing.
refused()
{
    refused_name=$1 expected=$2 pattern=$3
    shift 3
    run "$@"
    check "$refused_name" was_refused "$expected" "$pattern"
}

was_refused()
{
    [ "$status" -eq "$1" ] && [ ! -s "$tmp/out" ] && [ ! -e "$tmp/refused.safetensors" ] &&
        grep -q -e "$2" "$tmp/err" && head -n 1 "$tmp/err" | grep -q '^sparse24: ' &&
        lines err "$1" # one line for failures; wrong usage adds where the help is
}

# Whether every line of a file is one JSON object: strings and scalars are replaced by letters, then
# innermost objects and arrays until one letter is left.
is_json()
{
    [ -s "$1" ] && awk '
        !/^\{.*\}$/ { bad = 1 }
        {
            gsub(/"([^"\\]|\\.)*"/, "S")
            gsub(/-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?|true|false|null/, "N")
            gsub(/ /, "")
            do {
                before = $0
                gsub(/S:[SN]/, "P")
                gsub(/\{(P(,P)*)?\}|\[([SN](,[SN])*)?\]/, "N")
            } while ($0 != before)
            if ($0 != "N") bad = 1
        }
        END { exit bad }' "$1"
}

# number KEY: the value of a member in the JSON line on standard output.
number()
{
    sed -n "s/.*\"$1\": *\\([-+.eE0-9]*\\).*/\\1/p" "$tmp/out"
}

# is NUMBER CONDITION, e.g. is 0.3 "> 0"
is()
{
    awk "BEGIN { exit !(\"$1\" != \"\" && $1 + 0 $2) }"
}

finish()
{
    echo "$count checks, $failed failed"
    [ "$failed" -eq 0 ]
}
