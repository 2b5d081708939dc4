# POSIX sh. Watchdog timers. /dev/watchdog is never opened, and wdctl never run: either starts a timer.

# watchdogs: of a driver outside the watchdog core ("legacy"), which has no device there: /dev/watchdog is then its own, so that
# the core's watchdog0 cannot be (drivers/watchdog/watchdog_core.c: the core retries with watchdog1); "core PARAMETER VALUE" of
# the core, where its kernel has them (Linux 4.13, 5.3); "WATCHDOG ATTRIBUTE VALUE" of its devices, timeleft read three times in
# two seconds. "none" where /sys was seen to have neither.
watchdogs() {
    if [ ! -d /sys/class/misc ] || [ ! -d /sys/class/net ]; then
        echo "/sys is not mounted, or hidden" >&2
        return 65
    fi
    dogs=
    if there /sys/class/misc/watchdog && ! there /sys/class/watchdog/watchdog0; then
        legacy_watchdog
        dogs=1
    fi
    if ! there /sys/class/watchdog; then
        [ -n "$dogs" ] || echo none
        return 0
    fi
    for parameter in handle_boot_enabled open_timeout; do
        file=/sys/module/watchdog/parameters/$parameter
        ! there "$file" || printf 'core %s %s\n' "$parameter" "$(cat "$file")"
    done
    cd /sys/class/watchdog || return
    [ -r . ] || { ls . && return 65; } || return # it only looks empty
    counts=
    for dog in *; do
        [ "$dog" != '*' ] || continue
        dogs=1
        for attribute in identity state timeout max_timeout timeleft nowayout bootstatus; do
            ! there "$PWD/$dog/$attribute" || printf '%s %s %s\n' "$dog" "$attribute" "$(cat "$dog/$attribute")"
        done
        # its driver, and those of the devices that it is a part of: without them it is not found
        link=
        what=driver
        if there "$PWD/$dog/device"; then
            link=$(readlink -f "$dog/device") || return
        else # a driver that names no device: whatever uses the watchdog core
            for module in /sys/module/watchdog/holders/*; do
                ! there "$module" || printf '%s driver %s\n' "$dog" "${module##*/}"
            done
        fi
        while [ "${#link}" -gt 12 ]; do
            if there "$link/driver"; then
                module=
                if there "$link/driver/module"; then
                    module=$(readlink -f "$link/driver/module")
                elif [ "$what" = driver ]; then # built in
                    module=$(readlink -f "$link/driver")
                fi
                [ -z "$module" ] || printf '%s %s %s\n' "$dog" "$what" "${module##*/}"
                what=below
            fi
            link=${link%/*}
        done
        ! there "$PWD/$dog/timeleft" || counts=1
    done
    [ -n "$dogs" ] || echo none
    [ -n "$counts" ] || return 0
    for _ in 1 2; do
        sleep 1
        for dog in *; do
            ! there "$PWD/$dog/timeleft" || printf '%s later %s\n' "$dog" "$(cat "$dog/timeleft")"
        done
    done
}

# legacy_watchdog: which modules it may be, who has it open, and the time-out that they were loaded with.
legacy_watchdog() {
    echo "legacy identity /dev/watchdog"
    for module in /sys/module/*wdt /sys/module/*_wd /sys/module/*watchdog*; do
        there "$module/refcnt" || continue
        printf 'legacy driver %s\nlegacy users %s\n' "${module##*/}" "$(cat "$module/refcnt")"
        for parameter in timeout heartbeat margin; do
            ! there "$module/parameters/$parameter" || printf 'legacy timeout %s\n' "$(cat "$module/parameters/$parameter")"
        done
    done
}

# watchdogs_at_boot: first every file that says what is armed at boot, of systemd's the folders that win first
# (systemd-system.conf(5)), and which modules it loads; "unit NAME" for each unit of a daemon that feeds a watchdog and that the
# boot starts; then what stands in these files, "FILE:LINE". Without systemd as init "no systemd".
watchdogs_at_boot() {
    there /run/systemd/system || echo "no systemd"
    set --
    for folder in /etc/systemd /run/systemd /usr/local/lib/systemd /usr/lib/systemd; do
        for file in "$folder/system.conf" "$folder"/system.conf.d/*.conf; do
            ! there "$file" || set -- "$@" "$file"
        done
    done
    for file in /etc/watchdog.conf /etc/default/watchdog /etc/modules /etc/modules-load.d/*.conf /run/modules-load.d/*.conf \
        /usr/local/lib/modules-load.d/*.conf /usr/lib/modules-load.d/*.conf; do
        ! there "$file" || set -- "$@" "$file"
    done
    for file; do echo "file $file"; done
    for link in /etc/systemd/system/*.wants/*.service /etc/systemd/system/*.requires/*.service \
        /run/systemd/generator.late/*.wants/*.service /usr/lib/systemd/system/*.wants/*.service /etc/rc[2345].d/S*; do
        unit=${link##*/}
        case $link in /etc/rc*) unit=${unit#S[0-9][0-9]}.service ;; esac
        case $unit in
        watchdog.service | wd_keepalive.service | sbd.service | bmc-watchdog.service | watchdog-mux.service)
            case $link in /etc/rc*) ! there /run/systemd/system || continue ;; esac
            mask=/etc/systemd/system/$unit # a link to /dev/null
            [ -e "$mask" ] || ! there "$mask" || echo "$mask: Permission denied" >&2
            ! there "$link" || [ -c "$mask" ] || echo "unit $unit"
            ;;
        esac
    done
    for folder in /etc /run /usr/local/lib /usr/lib; do
        set -- "$@" "$folder"/modules-load.d "$folder"/systemd "$folder"/systemd/system.conf.d
    done
    lines_in '^[[:space:]]*((RuntimeWatchdogSec|WatchdogDevice|watchdog-device|watchdog-timeout|run_watchdog|watchdog_module)[[:space:]]*=|[[:alnum:]_-]+([[:space:]]+[[:alpha:]].*)?$)' "$@" /etc/systemd/system /etc/systemd/system/*.wants /etc/systemd/system/*.requires \
        /run/systemd/generator.late /run/systemd/generator.late/*.wants /usr/lib/systemd/system /usr/lib/systemd/system/*.wants \
        /etc/rc[2345].d
}

# bmc_watchdog: the BMC's own timer, or how it is known that there is no BMC.
bmc_watchdog() {
    for device in /dev/ipmi0 /dev/ipmi/0 /dev/ipmidev/0; do
        there "$device" || continue
        limit 5 ipmitool mc watchdog get
        return
    done
    echo "no device"
    for bmc in /sys/bus/acpi/devices/IPI0001:* /sys/devices/platform/ipmi_bmc* /proc/device-tree/ipmi* /proc/device-tree/*/ipmi*; do
        ! there "$bmc" || echo "firmware names an IPMI interface: $bmc"
    done
    there /sys/firmware/dmi/tables/DMI || return 0
    od -An -v -tx1 -N 65536 /sys/firmware/dmi/tables/DMI | tr -d ' \n' | awk '
        # SMBIOS: type, length, handle, fields; then strings up to two zero bytes. Type 38 is an IPMI interface.
        {
            at = 1
            while (at + 8 <= length($0)) {
                kind = substr($0, at, 2); long = index("0123456789abcdef", substr($0, at + 2, 1)) * 16 - 16 + index("0123456789abcdef", substr($0, at + 3, 1)) - 1
                if (long < 4) exit
                if (kind == "26") { print "firmware names an IPMI interface: SMBIOS type 38"; exit }
                at += long * 2
                while (at + 4 <= length($0) && substr($0, at, 4) != "0000") at += 2
                at += 4
            }
        }'
}
