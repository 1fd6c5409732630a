#!/bin/sh
# Usage: run.sh [C_COMPILER]
#
# Have Spin try every order of the steps of each model, and every death that
# may fall among them, and compare what it finds with what is expected: "clean",
# "wedge", or "wrong" (an assertion failed).  The last two are for what is
# broken on purpose, or does without something that is needed: a model that
# does not show those faults proves nothing about what has none.
#
# What the options mean is said at the top of kernel.pml, owner.pml and of each
# model.  With IPC_TEST_SCALE above 1 there are more searches, with more
# processes, deaths and rounds.
cc=${1:-cc}
scale=${IPC_TEST_SCALE:-1}

command -v spin > /dev/null || {
    echo "skipped: spin is not installed"
    exit 77
}

here=$(cd "$(dirname "$0")" && pwd) || exit 1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
cd "$folder" || exit 1

compile=-DMEMLIM=900
hash=22 # log2 of the places in the hash table
if [ "$scale" -gt 1 ]; then
    compile='-O2 -DCOLLAPSE -DMEMLIM=4000'
    hash=25
fi
rows=0
failed=0

# figure PATTERN: what the group in it stands for, in what pan printed.
figure()
{
    sed -n "s/$1/\1/p" pan.out | head -n 1
}

verdict()
{
    if grep -q 'max search depth too small' pan.out; then
        echo short
    elif grep -q '^pan:1: assertion violated *!(wedged)' pan.out; then
        echo wedge
    elif grep -q '^pan:1: assertion violated' pan.out; then
        echo wrong
    elif grep -q '^pan:1: invalid end state' pan.out; then
        echo stuck
    elif grep -q 'Search not completed' pan.out; then
        echo short # of memory
    elif grep -q 'errors: 0$' pan.out; then
        echo clean
    else
        echo none
    fi
}

# expect VERDICT MODEL [OPTION...]
expect()
{
    expected=$1
    model=$2
    shift 2
    defines=
    for option; do
        defines="$defines -D$option"
    done
    # Only these take longer to run than to compile.
    case "$expected $model $*" in
    clean\ queue*DEATHS=2*) optimise=-O1 ;;
    *)                    optimise=-O0 ;;
    esac

    rm -f -- *.trail
    # Options are a list of words.
    # shellcheck disable=SC2086
    if ! spin $defines -a "$here/$model.pml" > log 2>&1 ||
        ! "$cc" $optimise -w -DSAFETY $compile -o pan pan.c > log 2>&1; then
        cat log
        exit 1
    fi
    ./pan -n -m10000 -w$hash > pan.out 2>&1

    rows=$((rows + 1))
    found=$(verdict)
    printf '%-5s %8s states, %3s deep, %4s MB, %5s s: %s\n' "$found" \
        "$(figure ' *\([0-9]*\) states, stored.*')" \
        "$(figure '.*depth reached \([0-9]*\),.*')" \
        "$(figure ' *\([0-9]*\)[.0-9]*.total actual memory usage.*')" \
        "$(figure 'pan: elapsed time \([.0-9]*\) .*')" \
        "$model${*:+ $*}"
    if [ "$found" != "$expected" ]; then
        failed=$((failed + 1))
        echo "expected: $expected"
        grep '^pan:' pan.out
        # The steps that led to it.
        # shellcheck disable=SC2086
        [ -f "$model.pml.trail" ] &&
            spin $defines -k "$model.pml.trail" -p "$here/$model.pml" |
            sed "s|$here/||" | tail -n 200
    fi
}

echo '-- a queue: both naive ways to wake are right until the waker is killed'
[ "$scale" -gt 1 ] && expect clean queue WAKE_AFTER_UNLOCK
expect wedge queue WAKE_AFTER_UNLOCK DEATHS=1 SPARE_WAKEE
[ "$scale" -gt 1 ] && expect clean queue WAKE_BEFORE_UNLOCK
expect wedge queue WAKE_BEFORE_UNLOCK DEATHS=1 SPARE_WAKEE
echo '-- ours: only the death of who was woken needs the re-check'
[ "$scale" -gt 1 ] && expect clean queue DEATHS=1 SPARE_WAKEE
expect wedge queue DEATHS=1
expect clean queue DEATHS=2 RECHECK

echo '-- a guard: the same'
expect clean lock GUARD LIFE
expect clean lock GUARD LIFE DEATHS=2 SPARE_WAKEE
expect wedge lock GUARD LIFE DEATHS=1
expect clean lock GUARD LIFE DEATHS=2 RECHECK EARLY=1
expect clean lock GUARD DEATHS=2 RECHECK EARLY=1
expect clean lock GUARD DEATHS=2 RECHECK EARLY=1 NO_ROBUST_LIST
expect wedge lock GUARD LIFE NO_KEEP
expect wedge lock GUARD LIFE SPLIT_RELEASE DEATHS=1 SPARE_WAKEE
expect wrong lock GUARD LIFE STEAL

echo '-- a lock: so does that of an owner who came while others slept'
expect clean lock LIFE DEADLINES
expect clean lock LIFE DEATHS=2 SPARE_WAKEE SPARE_OWNER
expect wedge lock LIFE DEATHS=1 SPARE_OWNER
expect wedge lock LIFE DEATHS=1 SPARE_WAKEE
expect clean lock LIFE DEATHS=2 RECHECK EARLY=1 DEADLINES
expect clean lock DEATHS=2 RECHECK EARLY=1 DEADLINES
expect wedge lock LIFE NO_KEEP
expect wedge lock LIFE GIVE_UP_FIRST DEADLINES
expect wedge lock LIFE SPLIT_RELEASE DEATHS=1 SPARE_WAKEE SPARE_OWNER

echo '-- an event: nothing needs the re-check'
expect clean event DEATHS=2
[ "$scale" -gt 1 ] && expect clean event DEATHS=1 EARLY=1
expect clean event SPLIT_SET
expect wedge event SPLIT_SET DEATHS=1
expect wedge event WAKE_ONE
expect wedge event NO_COUNT

if [ "$scale" -gt 1 ]; then
    echo '-- more of everything'
    expect clean queue DEATHS=2 SPARE_WAKEE
    expect clean queue DEATHS=3 RECHECK
    expect clean queue DEATHS=2 RECHECK EARLY=1
    expect clean queue DEATHS=1 RECHECK PUTS=2
    expect clean queue DEATHS=2 RECHECK WAKE_AFTER_UNLOCK
    expect clean lock GUARD LIFE DEATHS=3 RECHECK EARLY=2 ROUNDS=3
    expect clean lock GUARD LIFE DEATHS=2 RECHECK PROCESSES=4 ROUNDS=1
    expect clean lock LIFE DEATHS=3 RECHECK EARLY=2 DEADLINES ROUNDS=3
    expect clean lock LIFE DEATHS=2 RECHECK PROCESSES=4
    expect clean event DEATHS=3 ROUNDS=3
fi

echo "$rows searches, $failed not as expected"
[ $failed -eq 0 ]
