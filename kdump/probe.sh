# POSIX sh. What every reading of the probe may call. Read-only: nothing here writes, restarts, mounts or logs.
# The whole script is parsed before anything runs (main is called on the last line), so a connection that breaks
# while it is being sent runs nothing.

# limit SECONDS COMMAND…: 124 when it had to be stopped. timeout(1) is missing on some minimal hosts.
limit() {
    seconds=$1
    shift
    if command -v timeout >/dev/null 2>&1; then
        timeout -k 1 "$seconds" "$@"
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

# reading COMMAND: run one command and frame what it printed. stdout is streamed, stderr and status follow it.
reading() {
    # shellcheck disable=SC2154  # the script that this is part of sets it
    printf '%s$ %s\n' "$mark" "$1"
    rest=$(
        exec 2>&1 >&3 </dev/null
        (eval "$1")
        printf '\n[%s' "$?" >&2
    )
    status=${rest##*\[}
    rest=${rest%\[*}
    set -f
    IFS='
'
    for line in $rest; do printf '%s! %s\n' "$mark" "$line"; done
    unset IFS
    set +f
    printf '%s[%s]\n' "$mark" "$status"
}

# indent: everything that is not framing is output, and indented by two. Output that ends without a newline has the
# next frame glued to it: split there first.
indent() {
    sed -e "/.$mark/{" -e 's/^/  /' -e "s/$mark/\\
$mark/" -e P -e D -e '}' -e "s/^$mark//" -e t -e 's/^/  /'
}
