# Usage: symbols.sh INCLUDE_FOLDER C_COMPILER SHARED_LIBRARY STATIC_LIBRARY
#
# The functions that the headers declare, those of symbols.expected and those
# that the shared library exports are the same, with their versions.  The
# static library adds no name to a program that could be the program's own.
include=$1
cc=$2
shared=$3
static=$4

# One order of names for sort and join, whatever the user's language.
export LC_ALL=C

here=$(dirname "$0")
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

failed=0

# same WHAT FILE: is FILE what symbols.expected says?
same()
{
    if ! diff -u "$work/expected" "$2"; then
        echo "$1 (+) differ from tests/abi/symbols.expected (-)"
        failed=1
    fi
}

# A declaration a line, those with IPC_API; of these what precedes the first
# bracket, and of that the last word.
echo '#include <ipc/ipc.h>' |
    "$cc" -E -P -I "$include" - | tr '\n' ' ' | tr ';' '\n' |
    sed -n 's/.*visibility("default")))//p' |
    sed 's/__attribute__((warn_unused_result))//; s/ *(.*//; s/.*[ *]//' |
    sort > "$work/declared"

sed 's/@@.*//' "$here/symbols.expected" | sort > "$work/expected"
same 'Functions in the headers' "$work/declared"

case $shared in
*.a)
    echo "built static: nothing is exported" ;;
*)
    sort "$here/symbols.expected" > "$work/expected"
    nm --dynamic --defined-only --with-symbol-versions "$shared" |
        sed -n 's/.* [^A ] //p' | sort > "$work/exported"
    same "Symbols of ${shared##*/}" "$work/exported" ;;
esac

if nm --extern-only --defined-only "$static" | sed -n 's/^[0-9a-f]* . //p' |
    grep -v '^ipc_'; then
    echo "${static##*/} defines these names that do not start with ipc_"
    failed=1
fi

echo "$(wc -l < "$work/declared") functions declared"
exit $failed
