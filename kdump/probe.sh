# POSIX sh. What every reading of the probe may call. Read-only: nothing here writes, restarts, mounts or logs.
# The whole script is parsed before anything runs (main is called on the last line), so a connection that breaks
# while it is being sent runs nothing.

# shellcheck disable=SC2034  # the library's other files use them
line_break='
' blank=' 	'

# limit SECONDS COMMAND…: 124 when it had to be stopped. timeout(1) is missing on some minimal hosts.
limit() {
    seconds=$1
    shift
    case $1 in
    # what reads nothing but its own files and its input is left to the guard: timeout is one more program to start
    cpio | crash | kexec | /usr/bin/strings)
        if [ -n "${guard-}" ]; then
            ${in_place-} "$@"
            return
        fi
        ;;
    esac
    if command -v timeout >/dev/null 2>&1; then
        ${in_place-} timeout -k 1 "$seconds" "$@"
        return
    fi
    { "$@" <&4 & } 4<&0 # a job in the background would read from /dev/null
    child=$!
    (
        sleep "$seconds"
        kill -9 "$child"
    ) >/dev/null 2>&1 &
    guard=$!
    wait "$child"
    status=$?
    kill "$guard" 2>/dev/null
    return "$status"
}

# guard: end what hangs. For $seconds the readings are left alone; then, as soon as two more of these go by in which the
# probe uses no processor and waits for none (a slow machine does not hang), or at $until, in seconds since the boot, all
# processes that are two or more below $top are killed. What hangs in the shell itself (a test of a file on a dead NFS
# server) is ended so, too, and what a command has started. That the guard is gone tells the lanes that no time is left.
guard() {
    trap 'kill "$nap" 2>/dev/null; exit' TERM
    read -r own _ </proc/self/stat
    before=-1000
    nap_of "$seconds"
    while :; do
        look
        read -r up _ </proc/uptime
        # shellcheck disable=SC2154  # the script that this is part of sets it
        if [ "$runs" -eq 0 ] && [ "$((used - before))" -lt 3 ] || [ "${up%.*}" -ge "$until" ]; then break; fi
        before=$used
        nap_of 2
    done
    # The guard goes first: killed before that, a reading makes room for the next one, which may hang as well. One that
    # began in the same moment is met by the second round. What is to be killed is stopped before: a shell whose child
    # is killed a moment before itself would go on, and end as if it had seen everything.
    {
        tries=0
        while [ "$tries" -lt 100000 ] && kill -0 "$own"; do tries=$((tries + 1)); done
        for nap in 1 1; do
            look
            # shellcheck disable=SC2086  # its words are meant
            [ -z "$below" ] || { kill -STOP $below; kill -9 $below; }
            sleep "$nap"
        done
    } &
}

# look: $runs: 1 when a process below $top has a processor or waits for one; $used: processor time of all of them, in
# ticks; $below: the pids of those that are two or more below. What is below the guard, $own, does not count.
look() {
    # one file after the other: their names may be more than one command line takes
    # shellcheck disable=SC2154  # the script that this is part of sets it
    found=$(for stat in /proc/[0-9]*/stat; do read -r line <"$stat" && printf '%s\n' "$line"; done |
        awk -v top="$top" -v own="$own" '
            { pid = $1; sub(/.*\) /, ""); state[pid] = $1; parent[pid] = $2; ticks[pid] = $12 + $13 + $14 + $15 }
            END {
                for (pid in parent) {
                    depth = 0
                    for (up = pid; up in parent && up != top && up != own && depth < 99; up = parent[up]) depth++
                    if (up != top) continue
                    used += ticks[pid]
                    if (state[pid] == "R") runs = 1
                    if (depth > 1) pids = pids " " pid
                }
                print runs + 0, used + 0, pids
            }')
    runs=${found%% *} found=${found#* }
    used=${found%% *} below=${found#* }
}

nap_of() {
    sleep "$1" &
    nap=$!
    wait "$nap"
}

# uname: the running kernel's release without a process.
uname() {
    if [ "$*" = -r ] && read -r running_release </proc/sys/kernel/osrelease; then
        printf '%s\n' "$running_release"
    else
        command uname "$@"
    fi
}

# reading COMMAND [BEFORE]: run one command and frame what it printed. stdout is streamed, stderr and status follow it.
# Where no time is left it is not run. BEFORE stands before it: "exec" for a plain program, which saves a process.
reading() {
    # shellcheck disable=SC2154  # the script that this is part of sets it
    printf '%s$ %s\n' "$mark" "$1"
    if [ -n "${guard-}" ] && ! kill -0 "$guard"; then
        printf '%s! no time was left for it\n%s[124]\n' "$mark" "$mark"
        return
    fi
    rest=$(
        exec 2>&1 >&3 </dev/null
        eval "${2-} $1"
    )
    status=$?
    set -f
    IFS=$line_break
    for line in $rest; do printf '%s! %s\n' "$mark" "$line"; done
    unset IFS
    set +f
    printf '%s[%s]\n' "$mark" "$status"
}

# file_readings [COMMAND FILE KEPT]…: the same for readings of small text files, by two processes for all of them: to start
# a process is what costs most on an emulated machine. FILE: what COMMAND reads; of several, the first that exists.
# KEPT: nothing for all of it; "pattern EXPRESSION" for the lines that match, "first EXPRESSION" for the first of these,
# "columns" for the first two columns; "itself" where only COMMAND can tell. What these two processes cannot answer, reading does.
file_readings() {
    count=$#
    while [ "$count" -gt 0 ]; do
        count=$((count - 3))
        file=$2
        for candidate in $2; do
            [ ! -e "$candidate" ] || { file=$candidate && break; }
        done
        set -- "$@" "$1" "$file" "$3"
        shift 3
    done
    # shellcheck disable=SC2016  # awk's own
    texts=$(exec awk -v mark="$mark" 'BEGIN {
        for (i = 1; i < ARGC; i += 3) {
            file = ARGV[i + 1]; kept = ARGV[i + 2]; text = ""; found = 0; got = -1
            most = kept ~ /^first / ? 1 : kept == "columns" ? 2000 : 1e9; wanted = kept
            sub(/^[a-z]+ /, "", wanted)
            if (kept != "itself") while (found < most && (got = (getline line < file)) > 0) {
                if (kept == "columns") { split(line, word, " "); line = word[1] " " word[2] }
                else if (kept != "" && line !~ wanted) continue
                text = text line "\n"
                found++
            }
            close(file)
            if (got >= 0) print mark "$ " ARGV[i] "\n" text mark "[" (kept ~ / / && !found ? 1 : 0) "]"
            else left = left " " i
        }
        print mark left " "
    }' "$@") || texts=
    left=${texts##*"$mark"}
    printf %s "${texts%"$mark"*}"
    number=1 missing='' complaints=''
    for word; do
        # every third word is a file, and the number before it is its reading's
        case $((number % 3)) in 2) case $left in *" $((number - 1)) "*) [ -e "$word" ] || missing="$missing $word" ;; esac ;; esac
        number=$((number + 1))
    done
    # shellcheck disable=SC2086  # its words are meant
    [ -z "$missing" ] || complaints=$(exec cat $missing 2>&1)
    number=1
    while [ $# -gt 0 ]; do
        case ${texts:+"$left"} in
        '' | *" $number "*)
            tool='cat' status=1 said=''
            case $1 in
            grep\ *) tool='grep' status=2 ;;
            cut\ *) tool='cut' ;;
            esac
            for candidate in $2; do # none of several
                complaint=${complaints%%"$line_break"*}
                case $complaint in
                cat:*"$candidate"*': No such file or directory') ;;
                *)
                    said=
                    break
                    ;;
                esac
                said=$said$mark'! '$tool${complaint#cat}$line_break
                complaints=${complaints#*"$line_break"}
            done
            if [ -n "$said" ]; then
                printf '%s$ %s\n%s%s[%s]\n' "$mark" "$1" "$said" "$mark" "$status"
            else
                reading "$1"
            fi
            ;;
        esac
        number=$((number + 3))
        shift 3
    done
}

# indent: everything that is not framing is output, and indented by two. Output that ends without a newline has the
# next frame glued to it: split there first.
indent() {
    sed -e "/.$mark/{" -e 's/^/  /' -e "s/$mark/\\
$mark/" -e P -e D -e '}' -e "s/^$mark//" -e t -e 's/^/  /'
}
