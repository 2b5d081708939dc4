# POSIX sh. Encrypted disks.

# luks_memory: "DEVICE Memory: N" (KiB) for each key slot of the LUKS devices that are open now; the device alone where
# its header was not readable.
luks_memory() {
    for uuid in /sys/block/dm-*/dm/uuid; do
        [ -e "$uuid" ] || continue
        case $(cat "$uuid") in
        CRYPT-LUKS*) ;;
        *) continue ;;
        esac
        for slave in "${uuid%/dm/uuid}"/slaves/*; do
            header=$(limit 5 cryptsetup luksDump "/dev/${slave##*/}" 2>/dev/null) || header=unreadable
            printf '%s\n' "$header" | sed -n -e "s,^[[:space:]]*\\(Memory:.*\\),/dev/${slave##*/} \\1,p" -e "s,^unreadable,/dev/${slave##*/} unreadable,p"
        done
    done
}
