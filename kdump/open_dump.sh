# POSIX sh. Dumps that are really opened, where somebody asked for it (--open-dumps).

# open_dumps: what the reading says until dumps were opened.
open_dumps() {
    echo 'not asked'
}

# open_dump DUMP VMLINUX PROGRAM: "tool NAME", what crash prints of the dump, or drgn running PROGRAM, and "status N". The
# tool has a deadline and a limit on memory, and a HOME that does not exist, so that no .crashrc has a say.
open_dump() {
    if command -v crash >/dev/null; then
        echo 'tool crash'
        set -- crash "$2" "$1"
        words='set scroll off\nsys\nbt\nlog\nquit\n'
    elif python3 -c 'import drgn' 2>/dev/null; then
        echo 'tool drgn'
        set -- python3 -c "$3" "$1" "$2"
        words=
    else
        echo 'tool none'
        return
    fi
    cd / || return
    # shellcheck disable=SC3045,SC2059  # the shells of Linux have both limits, and the words are a format
    {
        ulimit -c 0
        ulimit -v 8388608
        printf "$words" | HOME=/nonexistent TERM=dumb limit 300 "$@" 2>&1
        printf '\nstatus %s\n' "$?"
    } | awk '(seen += length($0)) < 200000 || /^status [0-9]+$/'
}
