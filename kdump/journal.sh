# POSIX sh. The log of the units that load the capture kernel.

# unit_log UNIT…: their last 300 lines of this boot, cut to 600 characters each (dracut prints its command lines).
# What journalctl says of its own rights stands among the lines: it ends with 0 even where it may show nothing.
unit_log() {
    command -v journalctl >/dev/null || {
        echo "journalctl: not found" >&2
        return 127
    }
    units=
    for unit; do units="$units -u $unit"; done
    # shellcheck disable=SC2086  # the units are words
    log=$(limit 10 journalctl --boot --no-pager --output=short-iso --lines=300 $units 2>&1) && status=0 || status=$?
    printf '%s\n' "$log" | cut -c 1-600
    return "$status"
}
