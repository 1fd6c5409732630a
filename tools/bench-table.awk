# Make a table of the lines that the benchmarks print: for each workload and
# its parameters all peers, and how libipc compares with each of them.
BEGIN {
    FS = "\t"
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
            printf "  %-28s %14s %-8s", peer[test, p], value[row], unit[row]
            if (peer[test, p] !~ /^libipc/ && (ours in value))
                compare(ours, row)
            printf "\n"
        }
    }
}
