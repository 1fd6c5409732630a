# Usage: run-and-match.sh REGEX PROGRAM [ARGUMENT...]
#
# Run a program, show what it prints, and pass when it exits with 0 and its
# output has a line that matches the extended regular expression.
regex=$1
shift

output=$("$@" 2>&1)
status=$?
printf '%s\n' "$output"
if [ $status -ne 0 ]; then
    echo "exit code $status"
    exit $status
fi
if ! printf '%s\n' "$output" | grep -Eq -e "$regex"; then
    echo "no line matches: $regex"
    exit 1
fi
