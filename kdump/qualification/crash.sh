# POSIX sh. What a qualification asks of a host that was named by --crash=HOST. Unlike the probe, this writes: one line
# into the kernel log, one folder under /run, and, once, the panic itself. It configures nothing and deletes no dump.

# crash_listing [FOLDER]: "SIZE CHANGED BORN PATH" of dumps and of the logs beside them, times in seconds since the epoch.
crash_listing() {
    folder=${1:-$(dump_folder)}
    [ -n "$folder" ] || return
    there "$folder" || { [ $? -eq 1 ]; return; } # the first dump makes it
    limit 20 find -H "$folder" -maxdepth 3 -type f \( -name 'vmcore*' -o -name 'dump.*' -o -name 'dump-*' -o -name '*dmesg*' \) \
        -exec stat -c '%s %.3Y %.3W %n' {} +
}

# crash_space [FOLDER]: kilobytes that are free there.
crash_space() {
    folder=${1:-$(dump_folder)}
    while [ -n "$folder" ] && [ ! -e "$folder" ]; do folder=$(dirname "$folder"); done
    limit 10 df -Pk "$folder" | awk 'END { print $4 }'
}

# crash_bootstatus: "DEVICE FLAGS" of the watchdogs.
crash_bootstatus() {
    for file in /sys/class/watchdog/*/bootstatus; do
        ! there "$file" || printf '%s %s\n' "$file" "$(cat "$file")"
    done
}

# crash_booting: a word while systemd still has start jobs: file systems may be missing that are mounted in a moment.
crash_booting() {
    [ -d /run/systemd/system ] || return 0
    limit 10 systemctl is-system-running 2>/dev/null | grep -x -E 'initializing|starting'
    return 0
}

# lkdtm_complaint POINT: why LKDTM cannot bring this about; nothing where it can.
lkdtm_complaint() {
    if [ ! -e /sys/kernel/debug/provoke-crash/DIRECT ]; then
        echo "there is no /sys/kernel/debug/provoke-crash/DIRECT: the kernel was built without CONFIG_LKDTM, or lkdtm is not loaded"
    elif ! grep -q -x -F -e "$1" /sys/kernel/debug/provoke-crash/DIRECT; then
        echo "LKDTM of this kernel does not know $1"
    fi
}

# crash_ready KIND [ARGUMENT]: why this trigger cannot work here; nothing where it can.
crash_ready() {
    [ "$(id -u)" = 0 ] || echo "a panic needs root: connect as root or use --sudo"
    under_way=$(find /run -maxdepth 1 -name 'kdump-crash-*' -mmin -5 2>/dev/null | head -n 1)
    [ -z "$under_way" ] || echo "a trigger was fired less than five minutes ago and may still be at work ($under_way)"
    [ -w /dev/kmsg ] || echo "/dev/kmsg cannot be written: no mark can be left in the kernel log"
    case $1 in
    sysrq-c | cpu) [ -e /proc/sysrq-trigger ] || echo "this kernel has no sysrq (CONFIG_MAGIC_SYSRQ)" ;;
    esac
    case $1 in
    cpu)
        command -v taskset >/dev/null || echo "taskset is not installed"
        taskset -c "$2" true 2>/dev/null || echo "processor $2 is not there, or not online"
        ;;
    nmi)
        [ "$2" = console ] || command -v ipmitool >/dev/null || echo "ipmitool is not installed"
        [ "$2" = console ] || [ -e /dev/ipmi0 ] || echo "there is no /dev/ipmi0: no BMC, or ipmi_devintf is not loaded"
        # whether the NMI comes as an unknown one or as an IOCHK is the board's choice (Linux: arch/x86/kernel/nmi.c)
        (cd /proc/sys/kernel && cat unknown_nmi_panic panic_on_unrecovered_nmi panic_on_io_nmi 2>/dev/null) | grep -q 1 ||
            echo "none of kernel.unknown_nmi_panic, panic_on_unrecovered_nmi and panic_on_io_nmi is 1: an NMI would be logged, no more"
        ;;
    lkdtm) lkdtm_complaint "$2" ;;
    softlockup)
        [ -e /proc/sys/kernel/softlockup_panic ] || echo "this kernel has no soft lockup detector"
        [ "$(cat /proc/sys/kernel/soft_watchdog)" != 0 ] || echo "kernel.soft_watchdog is 0: a processor would be lost, and no more"
        lkdtm_complaint SOFTLOCKUP
        ;;
    hung-task)
        [ -e /proc/sys/kernel/hung_task_panic ] || echo "this kernel has no hung task detector"
        complaint=$(lkdtm_complaint HUNG_TASK)
        if [ -n "$complaint" ]; then
            for program in mkfs.ext4 losetup fsfreeze; do
                command -v "$program" >/dev/null || echo "$complaint; and without it, $program is needed and not installed"
            done
        fi
        ;;
    oom) [ -e /proc/sys/vm/panic_on_oom ] || echo "there is no vm.panic_on_oom" ;;
    esac
}

# crash_mark TOKEN: leave the mark, and write everything to disk. Prints the lines of the kernel log that hold it, and the
# clock.
crash_mark() {
    printf '<5>kdump-acceptance: %s\n' "$1" >/dev/kmsg || return
    limit 60 sync || echo "sync did not end in 60 s" >&2
    date +%s
    dmesg | grep -F -e "$1"
}

# crash_fire TOKEN BOOT_ID KIND [ARGUMENT]: once per mark and only in the boot that was marked; returns before the panic,
# so that nobody waits on a connection that dies with the kernel.
crash_fire() {
    [ "$(cat /proc/sys/kernel/random/boot_id)" = "$2" ] || {
        echo "this is another boot than the one that was marked" >&2
        return 1
    }
    mkdir "/run/kdump-crash-$1" || return
    cat >"/run/kdump-crash-$1/fire" <<'END'
mkdir "/run/kdump-crash-$1/fired" || exit
exec >"/run/kdump-crash-$1/said" 2>&1
sleep 3
point() { echo "$1" >/sys/kernel/debug/provoke-crash/DIRECT; }
# for_now FILE VALUE: a machine that does not panic of it is left as it was
for_now() {
    was=$(cat "/proc/sys/$1") && echo "$2" >"/proc/sys/$1" || exit
    (sleep 120 && echo "$was" >"/proc/sys/$1") &
}
# a task that waits for a frozen file system in memory, where LKDTM does not make one
hang() {
    scratch=$1
    mkdir "$scratch/frozen" && truncate -s 8M "$scratch/image" && mkfs.ext4 -q "$scratch/image" || return
    mount -o loop "$scratch/image" "$scratch/frozen" && fsfreeze -f "$scratch/frozen" || return
    touch "$scratch/frozen/task" &
    sleep 120
    fsfreeze -u "$scratch/frozen"
    wait
    umount "$scratch/frozen"
}
case $3 in
sysrq-c) echo c >/proc/sysrq-trigger ;;
cpu) exec taskset -c "$4" sh -c 'echo c >/proc/sysrq-trigger' ;;
nmi) ipmitool chassis power diag ;;
lkdtm) point "$4" ;;
softlockup)
    for_now kernel/softlockup_panic 1
    point SOFTLOCKUP
    ;;
hung-task)
    for_now kernel/hung_task_panic 1
    for_now kernel/hung_task_timeout_secs 10
    if grep -q -x HUNG_TASK /sys/kernel/debug/provoke-crash/DIRECT 2>/dev/null; then point HUNG_TASK; else hang "/run/kdump-crash-$1"; fi
    ;;
oom)
    for_now vm/panic_on_oom 2
    if [ -d /run/systemd/system ]; then set -- systemd-run --quiet --scope -p MemoryMax=32M -p MemorySwapMax=0; else set --; fi
    "$@" tail /dev/zero
    ;;
esac
wait # a service's processes end with its first one
END
    # A service of its own outlives the session, which logind may end with all of its processes.
    [ -d /run/systemd/system ] &&
        limit 20 systemd-run --quiet --unit="kdump-crash-$1" /bin/sh "/run/kdump-crash-$1/fire" "$@" && return
    [ ! -d "/run/kdump-crash-$1/fired" ] || return
    if command -v setsid >/dev/null; then
        setsid /bin/sh "/run/kdump-crash-$1/fire" "$@" </dev/null >/dev/null 2>&1 3>&- 4>&- &
    else
        nohup /bin/sh "/run/kdump-crash-$1/fire" "$@" </dev/null >/dev/null 2>&1 3>&- 4>&- &
    fi
}

# crash_said TOKEN: the last words of a trigger that the machine survived.
crash_said() { tail -c 300 "/run/kdump-crash-$1/said"; }

# crash_log DUMP TOKEN [STAMP]: where the token stands: "dump LINE" in the dump's own log, "beside FILE: LINE" in the log that
# was saved with it. "no-token WHERE" for a log without it, "cut WHERE" for one without it that begins after STAMP, the
# kernel's seconds at the mark: what came before was overwritten. "unreadable WORDS": the dump's own log could not be read.
crash_log() {
    scratch=$(mktemp -d "${TMPDIR:-/var/tmp}/kdump-log.XXXXXX") || return
    if complaint=$(dump_log "$1" "$scratch"); then
        token_in "$scratch/log" dump "$2" "${3-}" "the dump"
    else
        echo "unreadable $complaint"
    fi
    rm -rf "$scratch"
    for file in "${1%/*}"/*dmesg*; do
        [ ! -f "$file" ] || token_in "$file" "beside $file:" "$2" "${3-}" "$file"
    done
}

# dump_log DUMP SCRATCH: SCRATCH/log is the dump's own log; else fails, and says why. makedumpfile reads no log out of a dump
# in the flattened format, which has no end to seek from: that one is put in order first (makedumpfile.8, -R).
dump_log() {
    if ! command -v makedumpfile >/dev/null; then
        echo "makedumpfile is not installed there"
        return 1
    fi
    whole=$1
    if [ "$(head -c 12 "$1")" = makedumpfile ]; then
        size=$(stat -L -c %s "$1") && free=$(limit 10 df -Pk "$2" | awk 'END { print $4 }') || return
        if [ "$((size / 512))" -gt "$free" ]; then
            echo "its log can be read after makedumpfile -R, for which ${2%/*} has too little room"
            return 1
        fi
        whole=$2/dump
        said_by_makedumpfile "$2" 100 -R "$whole" <"$1" || return
    fi
    said_by_makedumpfile "$2" 50 --dump-dmesg "$whole" "$2/log"
}

# said_by_makedumpfile SCRATCH SECONDS ARGUMENT…: nothing where it succeeds, else its complaint.
said_by_makedumpfile() {
    words=$1/words seconds_left=$2
    shift 2
    limit "$seconds_left" makedumpfile "$@" >"$words" 2>&1 && return
    echo "makedumpfile $1: $(grep -v -e '^$' -e 'makedumpfile Failed' "$words" | tail -n 1)"
    return 1
}

# token_in LOG FOUND TOKEN STAMP NAME: "FOUND LINE", "no-token NAME" or "cut NAME".
token_in() {
    if line=$(grep -F -m 1 -e "$3" "$1"); then
        echo "$2 $line"
    elif awk -v at="$4" '{
            sub(/^(<[0-9]+>)?\[ */, "")
            cut = at != "" && $0 ~ /^[0-9]+\.[0-9]+\]/ && $0 + 0 > at + 0
            exit
        }
        END { exit !cut }' "$1"; then
        echo "cut $5"
    else
        echo "no-token $5"
    fi
}

# crash_open DUMP VMLINUX: what crash says of the dump.
crash_open() {
    home=$(mktemp -d /run/kdump-home.XXXXXX) || return
    printf '%s' 'set scroll off
sys
bt
mod
log
quit
' | HOME=$home TERM=dumb limit 240 crash "$2" "$1" 2>&1 | head -c 4000000
    rm -rf "$home"
}
