# POSIX sh. What the crash utility rests on.

# strings_trial: "works", or why /usr/bin/strings does not. A copy without its libraries is there, and does not run.
strings_trial() {
    if ! there /usr/bin/strings; then
        echo "it is missing"
        return
    elif [ ! -e /usr/bin/strings ]; then
        echo "/usr/bin/strings: Permission denied" >&2
        return 1
    fi
    said=$(echo readable | limit 5 /usr/bin/strings 2>&1)
    status=$?
    case $status in
    124 | 137) return "$status" ;;
    esac
    if [ "$said" = readable ]; then
        echo works
    else
        printf 'it does not run: %s\n' "$said" | head -n 1
    fi
}
