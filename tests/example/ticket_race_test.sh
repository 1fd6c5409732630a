#!/bin/sh
# Usage: ticket_race_test.sh PROGRAM
#
# What ticket-race promises about its modes, options and files.  Everything
# happens in a temporary folder, which is also where the program puts its own
# files, so that it is seen whether it cleans up.
set -u

program=$1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
TMPDIR=$folder/tmp
export TMPDIR
mkdir "$TMPDIR" "$folder/db"
cd "$folder/db" || exit 1

out=$folder/out
err=$folder/err
failures=0
checks=0

fail()
{
    failures=$((failures + 1))
    echo "FAILED: $*"
    sed 's/^/    stdout: /' "$out"
    sed 's/^/    stderr: /' "$err"
}

check() # MESSAGE COMMAND...
{
    message=$1
    shift
    checks=$((checks + 1))
    "$@" || fail "$message"
}

run() # EXPECTED-EXIT-CODE ARGUMENT...
{
    expected=$1
    shift
    told="ticket-race $*"
    "$program" "$@" > "$out" 2> "$err"
    status=$?
    check "$told: exit code $status, not $expected" [ $status -eq "$expected" ]
}

# The value of a key in the object on stdout.
value() # KEY
{
    sed -n 's/.*"'"$1"'": *"\{0,1\}\([^,"}]*\).*/\1/p' "$out"
}

is() # KEY TEST-OPERATOR VALUE
{
    actual=$(value "$1")
    check "$told: $1 is '$actual', not $2 $3" [ "$actual" "$2" "$3" ]
}

lines() # FILE
{
    wc -l < "$1" | tr -d ' '
}

empty_folder() # FOLDER
{
    [ -z "$(ls -A "$1")" ]
}

# Wrong use: exit code 2, one line on stderr, nothing on stdout.
refused() # ARGUMENT...
{
    run 2 "$@"
    check "$told: one line on stderr" [ "$(lines "$err")" -eq 1 ]
    check "$told: nothing on stdout" [ ! -s "$out" ]
}

# The same about a file, which is left as it was, and alone in its folder.
refused_file() # CONTENT ARGUMENT...
{
    printf '%s' "$1" > tickets.json
    printf '%s' "$1" > "$folder/before"
    shift
    refused --db tickets.json "$@"
    check "$told: the file has changed" cmp -s tickets.json "$folder/before"
    check "$told: files left: $(ls -A)" [ "$(ls -A)" = tickets.json ]
    rm -f tickets.json
}

# ---- the four modes ----

raced() # MODE
{
    is mode = "$1"
    is buyers -eq 8
    is tickets -eq 3
    check "$told: one line on stdout" [ "$(lines "$out")" -eq 1 ]
    check "$told: the story" grep -q '^Tom-8 looks: 3 left$' "$err"
    check "$told: files left" empty_folder "$TMPDIR"
}

sold_exactly()
{
    is sold -eq 3
    is left -eq 0
    is oversold -eq 0
}

run 0 --lock none --json
raced none
is sold -gt 3
is oversold -eq $(($(value sold) - 3))
is owner_died -eq 0

for lock in lock file; do
    run 0 --lock $lock --json
    raced $lock
    sold_exactly
    is owner_died -eq 0

    run 0 --lock $lock --kill --json
    raced kill
    sold_exactly
    is owner_died -eq 2
    check "$told: first kill" \
        grep -q 'killed .*between reading and writing' "$err"
    check "$told: second kill" \
        grep -q 'killed .*between truncating and writing' "$err"
    check "$told: intact" grep -q 'owner .* died.* intact$' "$err"
    check "$told: repaired" grep -q 'owner .* died.* repaired$' "$err"
done

run 0 --buyers 3 --tickets 5 --think-ms 0
check "$told: the result" \
    grep -q '^lock: 3 buyers bought 3 of 5 tickets: oversold by 0$' "$out"
check "$told: nothing on stderr" [ ! -s "$err" ]

run 0 --buyers 3 --tickets 1 --kill --json
is sold -eq 1
is left -eq 0

run 0 --tickets 0 --json
is sold -eq 0

run 0 --help
check "$told: help" grep -q -e '--think-ms' "$out"

# ---- a file of ours ----

run 0 --db tickets.json --tickets 5 --buyers 2 --json
check "$told: the file" grep -qx '{"count": 3}' tickets.json
run 0 --db tickets.json --json
is tickets -eq 3
sold_exactly
run 0 --db tickets.json --lock file --tickets 4 --json
is tickets -eq 4
is sold -eq 4
check "$told: files left: $(ls -A)" \
    [ "$(echo *)" = 'tickets.json tickets.json.lock' ]
rm tickets.json*

printf '{"event": "concert", "count": 2, "hall": [1, 2]}' > tickets.json
run 0 --db tickets.json --kill --json
is sold -eq 2
check "$told: what else is in the file" \
    grep -qx '{"event": "concert", "count": 0, "hall": \[1, 2\]}' tickets.json
rm tickets.json*

# Two programs that share nothing but the file.
"$program" --db tickets.json --tickets 9 --buyers 1 --lock file > "$out"
"$program" --db tickets.json --buyers 6 --lock file --json \
    > "$folder/other" 2> "$err" &
run 0 --db tickets.json --buyers 6 --lock file --json
wait $!
check "two programs: exit code" [ $? -eq 0 ]
sold=$(value sold)
cp "$folder/other" "$out"
check "two programs: 8 tickets" [ $((sold + $(value sold))) -eq 8 ]
check "two programs: the file" grep -qx '{"count": 0}' tickets.json
rm tickets.json*

# What a killed run has left half written is repaired by the next.
printf '' > tickets.json
printf '{"count": 2}\n' > tickets.json.undo
run 0 --db tickets.json --json
is tickets -eq 2
check "$told: files left: $(ls -A)" [ "$(ls -A)" = tickets.json ]
rm tickets.json*

# ---- wrong options ----

refused --lock
refused --lock mutex
refused --lock none --kill
refused --kill --buyers 2
refused --kill --tickets 0
for option in buyers tickets think-ms; do
    refused --$option
    refused --$option ''
    refused --$option -1
    refused --$option x
    refused --$option 3x
    refused --$option ' 3'
    refused --$option 2.5
    refused --$option 99999999999999999999
done
refused --buyers 0
refused --buyers 1001
refused --tickets 1000001
refused --think-ms 60001
refused --db
refused --db ''
refused --json=yes
refused --bogus
refused -x
refused extra
check 'wrong options: files left' empty_folder .

# ---- bad files ----

for lock in none lock file; do
    refused_file '' --lock $lock
    refused_file 'three' --lock $lock
    refused_file '{"count": 3' --lock $lock
    refused_file '{"count": 3} {"count": 4}' --lock $lock
    refused_file '{"count": -1}' --lock $lock
    refused_file '{"count": "x"}' --lock $lock
    refused_file '{"count": 3.5}' --lock $lock
    refused_file '{"count": 99999999999999999999}' --lock $lock
    refused_file '{"tickets": 3}' --lock $lock
    refused_file '[3]' --lock $lock
    refused_file 'no
newline in "the message"' --lock $lock --tickets 3
done
refused_file '{"count": 0}' --kill

refused --db "$folder"
refused --db missing/tickets.json
refused --db /dev/null
refused --db /proc/version
refused --db "$(printf '%05000d' 0)"
mkfifo pipe && refused --db pipe && rm pipe
ln -s loop loop && refused --db loop && rm loop
mkdir closed
printf '{"count": 3}' > closed/tickets.json
chmod 0444 closed/tickets.json
if [ -w closed/tickets.json ]; then
    echo 'skipped: this user may write to a read-only file'
else
    refused --db closed/tickets.json
    chmod 0644 closed/tickets.json
    chmod 0555 closed
    refused --db closed/tickets.json --lock lock
    refused --db closed/tickets.json --lock file
    refused --db closed/new.json
    chmod 0755 closed
fi
rm -r closed
TMPDIR=$folder/missing refused
check 'bad files: files left' empty_folder .
check 'bad files: temporary files left' empty_folder "$TMPDIR"

# ---- broken off ----

"$program" --think-ms 60000 > "$out" 2> "$err" &
until grep -q 'Tom-8 looks' "$out"; do
    kill -0 $! 2> /dev/null || break
done
kill -TERM $!
wait $! 2> /dev/null
check 'broken off: killed by SIGTERM' [ $? -eq 143 ]
check 'broken off: files left' empty_folder "$TMPDIR"

echo "$checks checks, $failures failed"
[ $failures -eq 0 ]
