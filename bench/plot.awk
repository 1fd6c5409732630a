# Make a gnuplot script of the lines that ipc-bench-queue prints: throughput
# over the size of a message, a panel for each number of producers and
# consumers.  The output goes to the file OUT, as SVG.
#
#     awk -v OUT=queue.svg -f bench/plot.awk results | gnuplot

BEGIN {
    FS = "\t"
    panel_count = split("1x1 2x2 4x4 8x8", panels, " ")
    titles["1x1"] = "1 producer, 1 consumer"
    titles["2x2"] = "2 producers, 2 consumers"
    titles["4x4"] = "4 producers, 4 consumers"
    titles["8x8"] = "8 producers, 8 consumers"

    # What is alike has one hue: name, colour, width, dashes, points.
    style("libipc", "#d00000", 4, 1, 7)
    style("libipc-batch", "#d00000", 2, 2, 5)
    style("libipc-zero-copy", "#ff7070", 2, 4, 9)
    style("BASE-memcpy", "#000000", 1.5, 2, 0)
    style("BASE-spsc-ring", "#505050", 1.5, 1, 1)
    style("BASE-spsc-ring-batch", "#808080", 1.5, 2, 2)
    style("BASE-spsc-ring-zero-copy", "#a0a0a0", 1.5, 4, 3)
    style("ck_ring-spsc", "#7a4a1e", 1.5, 1, 8)
    style("ck_ring-mpmc", "#b8864b", 1.5, 1, 10)
    style("boost-mq", "#f08000", 2, 1, 5)
    style("zeromq", "#8e24aa", 2, 1, 9)
    style("nng", "#c158dc", 1.5, 2, 11)
    style("nanomsg", "#e0a0f0", 1.5, 1, 13)
    style("mqueue", "#00796b", 2, 1, 7)
    style("mqueue-d10", "#4db6ac", 1.5, 2, 6)
    style("pipe", "#1565c0", 2, 1, 5)
    style("unix-stream", "#42a5f5", 1.5, 1, 4)
    style("unix-seqpacket", "#0d2f81", 1.5, 2, 12)
    style("mp-Queue", "#558b2f", 1.5, 1, 7)
    style("mp-SimpleQueue", "#8bc34a", 1.5, 1, 6)
    style("mp-Pipe", "#afb42b", 1.5, 2, 4)
    style("mp-Pipe-bytes", "#d4c400", 1.5, 2, 8)
}

function style(peer, colour, width, dashes, points)
{
    names[++name_count] = peer
    looks[peer] = sprintf("lc rgb '%s' lw %s dt %d pt %d ps 0.6", colour,
                          width, dashes, points)
}

function bytes(text)
{
    if (text ~ /MiB$/)
        return text * 1048576
    return text ~ /KiB$/ ? text * 1024 : text + 0
}

# Not the lines about a placement, about the CPUs, or of one round.
$1 == "queue" && $5 == "msg/s" && split($3, part, ",") == 2 {
    if (!($2 in looks))
        style($2, "#000000", 1, 3, 3)
    measured[$2] = 1
    points[$2, part[2]] = points[$2, part[2]] bytes(part[1]) " " $4 "\n"
}

# Where the next plot goes, in parts of the picture.
function place(left, right, bottom, top)
{
    printf "set lmargin at screen %s; set rmargin at screen %s\n", left, right
    printf "set bmargin at screen %s; set tmargin at screen %s\n", bottom, top
}

# The first one of the list is drawn last, above the others.
function plot_panel(panel,    n, separator)
{
    printf "set title \"%s\"\nplot", titles[panels[panel]]
    for (n = name_count; n >= 1; n--) {
        if (!((names[n], panels[panel]) in points))
            continue
        printf "%s $d_%d_%d with linespoints %s notitle", separator, n, panel,
            looks[names[n]]
        separator = ", \\\n    "
    }
    printf separator == "" ? " NaN notitle\n" : "\n"
}

# Beside the panels, what the lines of all are.
function plot_key(    n, separator)
{
    print "unset title; unset border; unset tics; unset grid; unset ylabel"
    print "set key left top Left reverse samplen 3 spacing 1.25 maxrows 40"
    printf "plot"
    for (n = 1; n <= name_count; n++) {
        if (!(names[n] in measured))
            continue
        printf "%s NaN with linespoints %s title \"%s\"", separator,
            looks[names[n]], names[n]
        separator = ", \\\n    "
    }
    printf "\n"
}

END {
    for (peer in measured)
        some = 1
    if (!some) {
        print "plot.awk: there are no results of ipc-bench-queue" > \
            "/dev/stderr"
        exit 1
    }
    for (n = 1; n <= name_count; n++) {
        for (p = 1; p <= panel_count; p++) {
            if ((names[n], panels[p]) in points)
                printf "$d_%d_%d << EOD\n%sEOD\n", n, p,
                    points[names[n], panels[p]]
        }
    }
    print "set terminal svg size 1200,820 dynamic noenhanced" \
        " font 'sans-serif,13' background 'white'"
    printf "set output \"%s\"\n", OUT
    print "set logscale xy"
    print "set xrange [6:1500000]"
    print "set yrange [10:1e9]"
    print "set xtics (\"8 B\" 8, \"64 B\" 64, \"1 KiB\" 1024," \
        " \"64 KiB\" 65536, \"1 MiB\" 1048576)"
    print "set format y \"%.0s %c\""
    print "set ylabel \"messages per second\" offset 1"
    print "set grid lc rgb '#e0e0e0' lt 1 lw 0.7"
    print "set border 3 lc rgb '#606060'"
    print "set tics nomirror"
    print "unset key"
    print "set multiplot"
    for (p = 1; p <= panel_count; p++) {
        left = p % 2 ? 0.065 : 0.46
        bottom = p <= 2 ? 0.55 : 0.05
        place(left, left + 0.32, bottom, bottom + 0.40)
        plot_panel(p)
    }
    place(0.795, 0.995, 0.05, 0.95)
    plot_key()
    print "unset multiplot"
}
