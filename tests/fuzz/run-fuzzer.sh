# Usage: run-fuzzer.sh PROGRAM CORPUS SECONDS
#
# Let libFuzzer try new inputs for so many seconds, times IPC_TEST_SCALE,
# starting with a copy of the corpus.  What makes the program fail is shown, in
# base64.  IPC_TEST_SEED has it try others; without one it begins the same way
# each time.
program=$1
corpus=$2
seconds=$(($3 * ${IPC_TEST_SCALE:-1}))

if [ ! -x "$program" ]; then
    echo "skipped: there was no clang with libFuzzer when this was configured"
    exit 77
fi

# libFuzzer's seed has 32 bits, and 0 stands for the time.
seed=1
case ${IPC_TEST_SEED:-} in
'' | *[!0-9]*) ;;
*) seed=$(printf '%s' "$IPC_TEST_SEED" | cksum | cut -d ' ' -f 1) ;;
esac

folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$folder/corpus" "$folder/found" || exit 1
cp "$corpus"/* "$folder/corpus" || exit 1

"$program" -seed="$seed" -max_total_time="$seconds" -timeout=10 \
    -rss_limit_mb=1024 -malloc_limit_mb=256 -max_len=4096 -verbosity=0 \
    -print_final_stats=1 -artifact_prefix="$folder/found/" "$folder/corpus" \
    > "$folder/log" 2>&1
status=$?

if [ "$status" -ne 0 ]; then
    cat "$folder/log"
    for file in "$folder/found/"*; do
        [ -f "$file" ] || continue
        echo "seed $seed, $(basename "$file"), in base64:"
        base64 "$file"
    done
    exit 1
fi
known=$(ls "$corpus" | wc -l)
echo "seed $seed, $seconds s, $known inputs to begin with," \
    "$(ls "$folder/corpus" | wc -l) at the end"
grep '^stat::' "$folder/log"
# A program that tried no more than the corpus has shown nothing.
tried=$(sed -n 's/^stat::number_of_executed_units: *//p' "$folder/log")
[ "${tried:-0}" -gt $((2 * known)) ]
