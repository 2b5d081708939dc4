# POSIX sh. What lies under a path: mount, space, block devices, their drivers.

# settle PATH: sets "path" to what exists of it, links resolved, and "rest" to what does not.
settle() {
    path=$1 rest='' hops=0
    while [ ! -e "$path" ] && [ "$path" != / ]; do
        if [ -L "$path" ] && [ "$hops" -lt 9 ]; then # a link to what is not there
            link=$(readlink "$path") || return
            hops=$((hops + 1))
            case $link in
            /*) path=$link ;;
            *) path=${path%/*}/$link ;;
            esac
            continue
        fi
        there "$path" && echo "$path: Permission denied" >&2
        [ $? -eq 1 ] || return 1
        rest=/${path##*/}$rest
        path=${path%/*}
        path=${path:-/}
    done
    # a folder that may be entered needs no other program for this
    real=$([ -d "$path" ] && cd -P -- "$path" && pwd) || real=$(readlink -f "$path") || return
    path=$real
}

# storage_of PATH: "mount MAJ:MIN SOURCE FSTYPE OPTIONS TARGET", "space FREE-KB FREE-INODES" (root's; "-" where the file
# system counts none), then for each block device under it, down to the hardware: "layer NAME IDENTIFIER [MAPPER-NAME]",
# "driver NAME MODULE" ("-" for a driver that is built in), and "bus NAME" where it hangs on USB, iSCSI or FCoE, or on nothing
# that is seen ("bus none": a disk of the network or of another kind of storage).
storage_of() {
    settle "$1" || return
    mount=$(limit 5 findmnt -n -o MAJ:MIN,SOURCE,FSTYPE,OPTIONS,TARGET -T "$path")
    # shellcheck disable=SC2154  # probe.sh sets it
    mount=${mount##*"$line_break"}
    if [ -z "$mount" ]; then
        command -v findmnt >/dev/null || return 127
        echo "findmnt does not tell what $path lies on" >&2
        return 65
    fi
    # shellcheck disable=SC2086  # its fields are meant
    set -- $mount
    printf 'mount %s\n' "$*"
    [ "$3" != autofs ] || return 0 # to ask for its space would mount it
    counted=$(limit 5 stat -f -c '%f %S %d %c' "$path") || return
    number=$1 source=${2%%\[*} kind=$3
    # shellcheck disable=SC2086
    set -- $counted
    [ "$4" -gt 0 ] || set -- "$1" "$2" -
    printf 'space %s %s\n' "$(($1 * $2 / 1024))" "$3"
    if there "/sys/dev/block/$number"; then
        layer_of "/sys/dev/block/$number"
    elif [ -b "$source" ]; then # btrfs has a number of its own
        source=$(readlink -f "$source")
        source=${source##*/}
        for devices in /sys/fs/btrfs/*/devices; do # it may lie on several
            if [ "$kind" != btrfs ] || ! there "$devices/$source"; then continue; fi
            for device in "$devices"/*; do layer_of "$device" || return; done
            return
        done
        layer_of "/sys/class/block/$source"
    fi
}

layer_of() {
    layer=$(cd -P "$1" && pwd) || return
    mapper='' identifier=''
    if there "$layer/dm"; then
        mapper=" $(cat "$layer/dm/name")" && identifier=$(cat "$layer/dm/uuid") || return
    elif there "$layer/md"; then
        identifier=$(cat "$layer/md/level") || return
    fi
    printf 'layer %s %s%s\n' "${layer##*/}" "${identifier:--}" "$mapper"
    if there "$layer/partition"; then
        layer_of "${layer%/*}"
        return
    fi
    below=
    for slave in "$layer"/slaves/*; do
        ! there "$slave" || below="$below $slave"
    done
    if [ -n "$below" ]; then
        for slave in $below; do layer_of "$slave" || return; done
        return
    fi
    case $layer in
    */nvme-subsystem/*) # one disk on several paths: its controllers are listed apart
        subsystem=${layer#*/nvme-subsystem/}
        for controller in "/sys/class/nvme-subsystem/${subsystem%%/*}"/nvme[0-9]*; do
            controller=$(readlink -f "$controller")
            ! there "$controller/address" || drivers_above "$controller" || return
        done
        ;;
    *) drivers_above "$layer" ;;
    esac
}

# drivers_above DEVICE: the drivers of a device in /sys and of those that it is a part of.
drivers_above() {
    layer=$1
    case $layer in
    */usb*) printf 'bus usb\n' ;;
    */session[0-9]*) printf 'bus iscsi\n' ;;
    */ctlr_[0-9]* | */net/*) printf 'bus fcoe\n' ;;
    esac
    driven=
    while [ "${#layer}" -gt 12 ]; do
        if there "$layer/driver"; then
            module=/-
            driver=$(cd -P "$layer/driver" && pwd) || return
            ! there "$driver/module" || module=$(cd -P "$driver/module" && pwd) || return
            printf 'driver %s %s\n' "${driver##*/}" "${module##*/}"
            driven=1
        fi
        layer=${layer%/*}
    done
    [ -n "$driven" ] || printf 'bus none\n'
}

# dump_storage: of the folder that dumps go to.
dump_storage() {
    folder=$(dump_folder) || return
    settle "$folder" || return
    printf 'folder %s\n' "${path%/}$rest"
    storage_of "$folder"
}

# device_names: "NAME KERNEL-NAME" of block devices: each by its kernel's name, and by every persistent one.
device_names() {
    for block in /sys/class/block/*; do
        ! there "$block" || printf '/dev/%s %s\n' "${block##*/}" "${block##*/}"
    done
    {
        echo /dev/null
        for folder in /dev/disk/by-* /dev/mapper; do
            for name in "$folder"/*; do
                ! there "$name" || echo "$name"
            done
        done
    } | xargs ls -ld | sed -n 's,^l.* \(/dev/[^ ]*\) -> .*/\([^/]*\)$,\1 \2,p'
}
