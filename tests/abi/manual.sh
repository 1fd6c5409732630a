# Usage: manual.sh PROGRAM MANUAL_PAGE
#
# The options and limits of --help are those of the manual page, with the same
# defaults; and the page is of this version.
program=$1
page=$2

export LC_ALL=C
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

failed=0

# same WHAT: do both have the same lines?
same()
{
    sort -u "$work/help" > "$work/a"
    sort -u "$work/page" > "$work/b"
    if [ ! -s "$work/a" ] || ! diff -u "$work/a" "$work/b"; then
        echo "$1 of --help (-) differ from those of ${page##*/} (+)"
        failed=1
    fi
}

"$program" --help > "$work/text" || exit 1
sed 's/\\-/-/g' "$page" > "$work/plain"

grep -o -e '--[a-z][a-z-]*' "$work/text" > "$work/help"
# Where an option is explained, not where it is spoken of.
sed -n '/^\.SH OPTIONS/,/^\.SH LIMITS/p' "$work/plain" | grep -A 1 '^\.TP' |
    grep -o -e '--[a-z][a-z-]*' > "$work/page"
same Options

# "name default what" here, and there ".B name", lines, "Default N".
sed -n 's/^  \([a-z_]*\)  *\([0-9][0-9KMG]*\) .*/\1 \2/p' "$work/text" \
    > "$work/help"
sed -n '/^\.SH LIMITS/,/^\.SH SIGNALS/p' "$work/plain" | awk '
    /^\.B / { name = $2 }
    /^Default / { sub("[.:;]$", "", $2); print name, $2 }' > "$work/page"
same Limits

version=$("$program" --version)
if ! grep -q "^\.TH .* \"libipc ${version##* }\"" "$work/plain"; then
    echo "${page##*/} is not of version ${version##* }"
    failed=1
fi
exit $failed
