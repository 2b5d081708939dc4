# POSIX sh. The way to a dump target on the network. Nothing is sent there: its name is looked up, and the kernel is asked
# for the route.

# network_dump_target: the place of the configured network target, nothing where dumps stay on this host.
network_dump_target() {
    kdump_userspace || return
    # shellcheck disable=SC2154  # kdump_userspace sets it
    if [ "$userspace" = kdumpctl ]; then
        place=$(kdump_conf 'nfs4?|ssh') || return
        [ -n "$place" ] || place=$(kdump_conf dracut_args | sed -n -E "s/.*--mount[= ][\"']?([^ ]+) +[^ ]+ +nfs.*/\1/p")
    else
        case ${known_dump_files-} in
        '' | *'elsewhere '*) ;;
        *) return 0 ;;
        esac
        place=$(dumps_elsewhere | sed -n -e 's/^elsewhere //' -e 's,^[a-z]*://,,' -e '$p')
    fi
    [ -z "$place" ] || echo "$place"
}

# network_path: nothing where dumps stay on this host. Otherwise "host NAME", "address ADDRESS" for each of its addresses
# or "unresolved STATUS", and for the first one "route …" as ip-route(8) says it or "unreachable …"; then for the network
# interface of that route and those under it "interface NAME KIND", "driver NAME MODULE" ("-": built in).
network_path() {
    target=$(network_dump_target) || return
    if [ -z "$target" ]; then
        # a folder of this host may itself lie on the network
        folder=$(dump_folder) || return
        grep -qE '^[^ ]+ [^ ]+ (autofs|nfs4?|cifs|smb3) ' /proc/mounts || [ $? -gt 1 ] || return 0
        settle "$folder" || return
        # shellcheck disable=SC2154  # settle sets it
        target=$(limit 5 findmnt -n -o FSTYPE,SOURCE -T "$path" | tail -n 1 | sed -n -E 's,^(nfs4?|cifs|smb3) +,,p')
        [ -n "$target" ] || return 0
    fi
    name=${target##*@}
    name=${name#//}
    case $name in
    \[*) name=${name#\[} name=${name%%\]*} ;;
    *) name=${name%%[:/]*} ;;
    esac
    printf 'host %s\n' "$name"
    addresses=$name
    case $name in
    *:*) ;;
    *[!0-9.]*)
        addresses=$(limit 5 getent ahosts "$name")
        status=$?
        addresses=$(printf '%s\n' "$addresses" | awk '$2 == "STREAM" { print $1 }')
        if [ -z "$addresses" ]; then
            printf 'unresolved %s\n' "$status"
            return 0
        fi
        ;;
    esac
    for address in $addresses; do printf 'address %s\n' "$address"; done
    address=$(printf '%s\n' "$addresses" | sed -n 1p)
    route=$(limit 5 ip -o route get "$address" 2>&1)
    status=$?
    if [ "$status" -eq 127 ]; then
        echo "ip: not found" >&2
        return 127
    fi
    if [ "$status" -ne 0 ]; then
        printf 'unreachable %s\n' "$route"
        return 0
    fi
    printf 'route %s\n' "$route"
    interface=$(printf '%s\n' "$route" | sed -n 's/.* dev \([^ ]*\).*/\1/p' | sed -n 1p)
    [ -z "$interface" ] || interface_of "$interface"
}

interface_of() {
    kind=$(sed -n 's/^DEVTYPE=//p' "/sys/class/net/$1/uevent")
    printf 'interface %s %s\n' "$1" "${kind:--}"
    ! there "/sys/class/net/$1/device" || drivers_above "$(readlink -f "/sys/class/net/$1/device")"
    for lower in "/sys/class/net/$1"/lower_*; do
        ! there "$lower" || interface_of "${lower##*/lower_}"
    done
}
