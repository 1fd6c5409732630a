# Make a table of the lines that the benchmarks print: for each workload and
# its parameters all peers, and how libipc compares with each of them.  Lines of
# single rounds, if there are any, are shown as the lowest and highest value.
BEGIN {
    FS = "\t"
}

NF == 5 && $3 ~ /,round=[0-9]+$/ {
    sub(/,round=[0-9]+$/, "", $3)
    row = $1 "\t" $3 "\t" $2
    if (!(row in low) || $4 + 0 < low[row] + 0)
        low[row] = $4
    if (!(row in high) || $4 + 0 > high[row] + 0)
        high[row] = $4
    next
}

NF == 5 && $4 ~ /^[0-9]/ {
    test = $1 "\t" $3
    if (!(test in peers))
        tests[++test_count] = test
    row = test "\t" $2
    if (!(row in value))
        peer[test, ++peers[test]] = $2
    value[row] = $4
    unit[row] = $5
}

# A time is better when it is small, a rate when it is large; anything else is
# not about speed.
function speed(row)
{
    if (value[row] == 0)
        return 0
    if (unit[row] ~ /^(ns|us|ms|s)(\/|$)/)
        return 1 / value[row]
    return unit[row] ~ /\/s$/ ? value[row] : 0
}

function compare(ours, row,    faster)
{
    if (value[row] == 0)
        return
    printf "  libipc / it %8.2f   ", value[ours] / value[row]
    if (speed(row) == 0 || speed(ours) == 0)
        return
    faster = speed(ours) / speed(row)
    if (faster >= 1)
        printf "libipc is %.2f x faster", faster
    else
        printf "libipc is %.2f x slower", 1 / faster
}

END {
    for (t = 1; t <= test_count; t++) {
        test = tests[t]
        split(test, part, "\t")
        ours = test "\tlibipc"
        printf "\n%s %s\n", part[1], part[2]
        for (p = 1; p <= peers[test]; p++) {
            row = test "\t" peer[test, p]
            range = (row in low) ? low[row] " - " high[row] : ""
            printf "  %-28s %14s %-8s%s", peer[test, p], value[row],
                unit[row], range == "" ? "" : sprintf(" %27s", range)
            if (peer[test, p] !~ /^libipc/ && (ours in value))
                compare(ours, row)
            printf "\n"
        }
    }
}
