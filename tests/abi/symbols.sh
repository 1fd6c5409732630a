# Usage: symbols.sh EXPECTED INCLUDE_FOLDER C_COMPILER SHARED_LIBRARY
#     STATIC_LIBRARY [INCLUDE_FOLDER]
#
# The functions that the headers of the first folder declare, those of the file
# EXPECTED and those that the shared library exports are the same, with their
# versions.  The static library adds no name to a program that could be the
# program's own.  The second folder is for headers that those of the first
# include.
expected=$1
include=$2
cc=$3
shared=$4
static=$5
more=${6:-$2}

# One order of names for sort and join, whatever the user's language.
export LC_ALL=C

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

failed=0

# same WHAT FILE: is FILE what EXPECTED says?
same()
{
    if ! diff -u "$work/expected" "$2"; then
        echo "$1 (+) differ from tests/abi/${expected##*/} (-)"
        failed=1
    fi
}

# What the compiler makes of lines of the headers in the folder, not of those
# that they include: it says before each piece where it is from.
lines_of_ours()
{
    for path in "$include"/ipc/*.h; do
        echo "#include <ipc/${path##*/}>"
    done | "$cc" -E -I "$include" -I "$more" - | awk -v "ours=\"$include/" '
        /^# [0-9]/ { keep = index($0, ours) > 0; next }
        keep'
}

# A declaration a line, those with IPC_API; of these what precedes the first
# bracket, and of that the last word.
lines_of_ours | tr '\n' ' ' | tr ';' '\n' |
    sed -n 's/.*visibility("default")))//p' |
    sed 's/__attribute__((warn_unused_result))//; s/ *(.*//; s/.*[ *]//' |
    sort > "$work/declared"

sed 's/@@.*//' "$expected" | sort > "$work/expected"
same 'Functions in the headers' "$work/declared"

case $shared in
*.a)
    echo "built static: nothing is exported" ;;
*)
    sort "$expected" > "$work/expected"
    nm --dynamic --defined-only --with-symbol-versions "$shared" |
        sed -n 's/.* [^A ] //p' | sort > "$work/exported"
    same "Symbols of ${shared##*/}" "$work/exported" ;;
esac

if nm --extern-only --defined-only "$static" | sed -n 's/^[0-9a-f]* . //p' |
    grep -v '^ipcm\{0,1\}_'; then
    echo "${static##*/} defines these names that start with neither ipc_ nor" \
        "ipcm_"
    failed=1
fi

echo "$(wc -l < "$work/declared") functions declared"
exit $failed
