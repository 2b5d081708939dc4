# POSIX sh. Whether files are there, and what they say. Only "No such file or directory" is absence: a shell's own test of a file
# fails in the same way where a policy forbids the look (SELinux, a folder that may not be entered).

# first_of FILE…: the first of these files that exists (a kernel interface and its older name). Where none does, cat
# says so of each, or says what forbids to look.
first_of() {
    for file; do
        if [ -e "$file" ]; then
            cat "$file"
            return
        fi
    done
    cat "$@"
}

# there FILE: whether it exists. Where it is not to be seen its folder tells, which lists also what may not be looked at; where
# that cannot be listed either, that is said, and the status is 2: no reading that complains so is taken for an answer. Takes no
# process.
there() {
    [ ! -e "$1" ] || return 0
    there_hops=0
    there_below "$1"
}

there_below() {
    if [ -L "$1" ]; then # it leads nowhere, or to what may not be looked at
        there_hops=$((there_hops + 1))
        [ "$there_hops" -lt 9 ] || return 1
        set -- "${1%/*}" "$(readlink "$1")"
        case $2 in
        /*) set -- "$2" ;;
        *) set -- "$1/$2" ;;
        esac
        [ ! -e "$1" ] || return 0
        there_below "$1"
        return
    fi
    [ -n "$1" ] || return 0
    set -- "${1%/*}" "${1##*/}" "$1"
    # a pattern that only this name matches: what a folder lists, the shell takes without a look at it
    there_last=${2#"${2%?}"}
    # shellcheck disable=SC2231  # the pattern is meant
    for there_listed in "$1/${2%?}"[$there_last]; do
        [ "${there_listed##*/}" != "$2" ] || return 0
    done
    [ ! -r "${1:-/}" ] || return 1
    there_below "$1" || return
    echo "$3: Permission denied" >&2
    return 2
}

# file_there FILE: whether it is a regular file, or may be one; nothing is said.
file_there() {
    [ -f "$1" ] || { [ ! -e "$1" ] && { there "$1" 2>/dev/null || [ $? -eq 2 ]; }; }
}

# readable FILE: whether it, or all that is in a folder, can be seen; says so where not. What does not exist hides nothing.
readable() {
    if [ -r "$1" ] && { [ ! -d "$1" ] || [ -x "$1" ]; }; then return; fi
    there "$1"
    case $? in
    0) echo "$1: Permission denied" >&2 ;;
    1) return 0 ;;
    esac
    return 2
}

# lines_in EXPRESSION FILE…: what grep -EH finds in those of these files that exist. Of a folder it is only seen whether it can
# be listed.
lines_in() {
    { said=$(exec grep -EH -e "$@" 2>&1 >&5); } 5>&1
    status=$?
    [ -n "$said" ] || return "$status"
    status=0
    set -f
    # shellcheck disable=SC2154  # probe.sh sets it
    IFS=$line_break
    for line in $said; do
        case $line in
        *': No such file or directory' | *': Not a directory' | *': Is a directory') ;;
        *)
            printf '%s\n' "$line" >&2
            status=2
            ;;
        esac
    done
    unset IFS
    set +f
    return "$status"
}
