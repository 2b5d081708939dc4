# POSIX sh. What lies under a path: mount, space, block devices, their drivers.

# storage_of PATH: "mount MAJ:MIN SOURCE FSTYPE OPTIONS TARGET", "space AVAILABLE-KB INODES-FREE", then for each block
# device under it, down to the hardware: "layer NAME UUID-OF-MAPPER", "driver NAME MODULE" ("-" for a driver that is
# built in), and "bus NAME" where it hangs on USB.
storage_of() {
    path=$1
    while [ ! -e "$path" ] && [ "$path" != / ]; do path=$(dirname "$path"); done
    mount=$(limit 5 findmnt -n -o MAJ:MIN,SOURCE,FSTYPE,OPTIONS,TARGET -T "$path") || return
    # shellcheck disable=SC2086  # its fields are meant
    set -- $mount
    printf 'mount %s\n' "$*"
    printf 'space %s\n' "$(limit 5 df -Pk "$path" | awk 'END { print $4 }')"
    number=$1 source=${2%%\[*}
    if [ -e "/sys/dev/block/$number" ]; then
        layer_of "$(readlink -f "/sys/dev/block/$number")"
    elif [ -b "$source" ]; then # btrfs has a number of its own
        layer_of "/sys/class/block/$(basename "$(readlink -f "$source")")"
    fi
}

layer_of() {
    layer=$(readlink -f "$1")
    printf 'layer %s %s\n' "${layer##*/}" "$(cat "$layer/dm/uuid" 2>/dev/null || cat "$layer/md/level" 2>/dev/null || echo -)"
    if [ -e "$layer/partition" ]; then
        layer_of "${layer%/*}"
        return
    fi
    below=
    for slave in "$layer"/slaves/*; do
        [ ! -e "$slave" ] || below="$below $slave"
    done
    if [ -n "$below" ]; then
        for slave in $below; do layer_of "$slave"; done
        return
    fi
    case $layer in */usb*) printf 'bus usb\n' ;; esac
    while [ "${#layer}" -gt 12 ]; do
        if [ -e "$layer/driver" ]; then
            module=-
            [ ! -e "$layer/driver/module" ] || module=$(basename "$(readlink -f "$layer/driver/module")")
            printf 'driver %s %s\n' "$(basename "$(readlink -f "$layer/driver")")" "$module"
        fi
        layer=${layer%/*}
    done
}

# dump_storage: of the folder that dumps go to.
dump_storage() {
    folder=$(dump_folder) || return
    printf 'folder %s\n' "$folder"
    storage_of "$folder"
}

# device_names: the persistent names of block devices.
device_names() {
    for name in /dev/disk/by-uuid/* /dev/disk/by-label/* /dev/disk/by-id/* /dev/disk/by-partuuid/* /dev/mapper/*; do
        [ ! -e "$name" ] || echo "$name"
    done
}
