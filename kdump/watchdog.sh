# POSIX sh. Watchdog timers. /dev/watchdog is never opened, and wdctl never run: either starts a timer.

# watchdogs: "WATCHDOG ATTRIBUTE VALUE" of the watchdog core's devices, timeleft read again after two seconds.
watchdogs() {
    ls /sys/class/watchdog >/dev/null || return
    cd /sys/class/watchdog || return
    counts=
    for dog in *; do
        [ -e "$dog" ] || continue
        for attribute in identity state timeout timeleft nowayout bootstatus; do
            [ ! -e "$dog/$attribute" ] || printf '%s %s %s\n' "$dog" "$attribute" "$(cat "$dog/$attribute")"
        done
        printf '%s driver %s\n' "$dog" "$(basename "$(readlink -f "$dog/device/driver/module" || readlink -f "$dog/device/driver")")"
        [ ! -e "$dog/timeleft" ] || counts=1
    done
    [ -n "$counts" ] || return 0
    sleep 2
    for dog in *; do
        [ ! -e "$dog/timeleft" ] || printf '%s timeleft-later %s\n' "$dog" "$(cat "$dog/timeleft")"
    done
}

# bmc_watchdog: the BMC's own timer, or how it is known that there is no BMC.
bmc_watchdog() {
    for device in /dev/ipmi0 /dev/ipmi/0 /dev/ipmidev/0; do
        [ -e "$device" ] || continue
        limit 5 ipmitool mc watchdog get
        return
    done
    echo "no device"
    for acpi in /sys/bus/acpi/devices/IPI0001:*; do
        [ ! -e "$acpi" ] || echo "firmware names an IPMI interface: $acpi"
    done
    [ -e /sys/firmware/dmi/tables/DMI ] || return 0
    od -An -v -tx1 -N 32768 /sys/firmware/dmi/tables/DMI | tr -d ' \n' | awk '
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
