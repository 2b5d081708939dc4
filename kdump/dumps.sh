# POSIX sh. Where dumps go, and which ones lie there.

# dump_folder: the folder that the kdump userspace saves dumps in, as the running system sees it.
dump_folder() {
    if [ -e /usr/bin/kdumpctl ] || [ -e /usr/sbin/kdumpctl ]; then
        folder=''
        device=''
        if [ -e /etc/kdump.conf ]; then
            folder=$(sed -n 's/^path[[:space:]]\{1,\}//p' /etc/kdump.conf | sed -n '$p') || return
            device=$(sed -n -E 's/^(ext[234]|xfs|btrfs|minix|f2fs)[[:space:]]+//p' /etc/kdump.conf | sed -n '$p') || return
        fi
        folder=${folder:-/var/crash}
        if [ -n "$device" ]; then # the path is relative to that file system
            mounted=$(findmnt -n -o TARGET -S "$device" | head -n 1)
            [ -n "$mounted" ] || {
                echo "the dump target $device is not mounted: its dumps cannot be seen" >&2
                return 65
            }
            folder=${mounted%/}/${folder#/}
        fi
    elif [ -e /usr/sbin/kdump-config ]; then
        folder=$(setting KDUMP_COREDIR /etc/default/kdump-tools) || return
    else
        folder=$(setting KDUMP_SAVEDIR /etc/sysconfig/kdump) || return
        case $folder in
        file://*) folder=${folder#file://} ;;
        *://*)
            echo "dumps go to $folder: they cannot be seen from here" >&2
            return 65
            ;;
        esac
    fi
    echo "${folder:-/var/crash}"
}

# dump_files FIND-EXPRESSION…: files of the dump folder, at most two folders deep.
dump_files() {
    folder=$(dump_folder) || return
    limit 8 find -H "$folder" -xdev -maxdepth 3 -type f "$@"
}

# dump_listing: "SIZE PATH" of the dumps, finished or not.
dump_listing() {
    dump_files \( -name 'vmcore*' -o -name 'dump.*' -o -name 'dump-*' \) \
        ! -name '*dmesg*' ! -name '*.txt' ! -name '*.log' ! -name '*.status' -exec stat -c '%s %n' {} +
}

# dump_evidence: the bytes from which the newest dumps can be judged, see vmcore_evidence.
dump_evidence() {
    found=$(dump_files \( -name 'vmcore*' -o -name 'dump.*' -o -name 'dump-*' \) \
        ! -name '*dmesg*' ! -name '*.txt' ! -name '*.log' ! -name '*.status') || return
    IFS='
'
    # shellcheck disable=SC2086  # one word per line
    set -- $found
    unset IFS
    vmcore_evidence "$@"
}

# dump_notes: what the tools that saved the dumps wrote beside them, "FILE: LINE".
dump_notes() {
    dump_files \( -name README.txt -o -name kdump_status.log -o -name vmcore-creation.status \) \
        -exec grep -H '' {} + | head -c 20000
}

# vmlinux_files: debuginfo of all kernels, where each flavour keeps it; the bytes that identify it.
vmlinux_files() {
    release=$(uname -r)
    set --
    for file in "/usr/lib/debug/boot/vmlinux-$release" "/usr/lib/debug/lib/modules/$release/vmlinux" \
        "/usr/lib/debug/usr/lib/modules/$release/vmlinux" "/lib/modules/$release/build/vmlinux" \
        "/usr/lib/modules/$release/vmlinux.debug" "/usr/lib/debug/boot/vmlinux-$release.debug" \
        "/boot/vmlinux-$release.debug" "/boot/vmlinux-$release" \
        /usr/lib/debug/boot/vmlinux-* /usr/lib/debug/lib/modules/*/vmlinux /usr/lib/debug/usr/lib/modules/*/vmlinux; do
        [ -f "$file" ] || continue
        case " $* " in
        *" $file "*) ;;
        *) [ $# -ge 12 ] || set -- "$@" "$file" ;;
        esac
    done
    vmlinux_evidence "$@"
}
