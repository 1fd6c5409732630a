#!/bin/sh
# Usage: web_service_test.sh PROGRAM
#
# What web_service answers, to curl.  It is started at a free port, asked by
# several at once, and told to end; nothing may be left of it.
set -u

program=$1
folder=$(mktemp -d) || exit 1
service=
# The service is a child of this very shell.
trap 'test -z "$service" || kill "$service"; rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
TMPDIR=$folder/tmp
export TMPDIR
mkdir "$TMPDIR"
failures=0

check() # MESSAGE COMMAND...
{
    message=$1
    shift
    "$@" && return
    failures=$((failures + 1))
    echo "FAILED: $message"
}

# The body goes to the file, the code of the answer to stdout.
get() # FILE PATH [OPTION...]
{
    file=$1
    path=$2
    shift 2
    curl --silent --noproxy '*' --max-time 20 --output "$file" \
        --write-out '%{http_code}' "$@" "$url$path"
}

is() # FILE TEXT
{
    [ "$(cat "$1")" = "$2" ]
}

command -v curl > /dev/null || {
    echo "curl is not installed"
    exit 77
}

# ---- wrong use ----

refused() # ARGUMENT...
{
    "$program" "$@" > "$folder/out" 2> "$folder/err"
    status=$?
    check "web_service $*: exit code $status" [ $status -eq 2 ]
    check "web_service $*: one line" [ "$(wc -l < "$folder/err")" -eq 1 ]
    check "web_service $*: nothing on stdout" [ ! -s "$folder/out" ]
}

refused ''
refused x
refused 1x
refused -1
refused 65536
refused 1 2

# ---- it starts, and says where ----

mkfifo "$folder/says"
"$program" > "$folder/says" 2> "$folder/err" &
service=$!
read -r url < "$folder/says"
url=${url%/}
case $url in
http://127.0.0.1:*) ;;
*)
    echo "FAILED: it says '$url'"
    cat "$folder/err"
    exit 1 ;;
esac

# ---- it answers ----

answer='{"result_file":"file result","result_db":"db result",'
answer=$answer'"result_api":"api result"}'

check '/: the code' [ "$(get "$folder/1" /)" = 200 ]
check '/: the answer' is "$folder/1" "$answer"
cat "$folder/1"
echo

# Several at once; their codes are looked at, too.
askers=
for i in 1 2 3 4 5 6 7 8; do
    get "$folder/$i" / > "$folder/$i.code" &
    askers="$askers $!"
done
# shellcheck disable=SC2086
wait $askers
for i in 1 2 3 4 5 6 7 8; do
    check "asker $i: the code" is "$folder/$i.code" 200
    check "asker $i: the answer" is "$folder/$i" "$answer"
done

check '/nowhere' [ "$(get "$folder/1" /nowhere)" = 404 ]
check '/ with POST' [ "$(get "$folder/1" / --data x)" = 405 ]

# One of the three fails: that is said, and the service goes on.
mv "$TMPDIR"/*/result.txt "$folder/result.txt"
check 'no file: the code' [ "$(get "$folder/1" /)" = 500 ]
check 'no file: the answer' grep -q '^{"error":"' "$folder/1"
mv "$folder/result.txt" "$TMPDIR"/*/
check 'the file is back' [ "$(get "$folder/1" /)" = 200 ]

# ---- a port that is in use ----

refused "${url##*:}"

# ---- it ends ----

kill -TERM "$service"
wait "$service"
check "exit code" [ $? -eq 0 ]
service=
check "files left: $(ls "$TMPDIR")" [ -z "$(ls -A "$TMPDIR")" ]

[ $failures -eq 0 ]
