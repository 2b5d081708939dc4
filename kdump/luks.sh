# POSIX sh. Encrypted disks.

# luks_memory: "DEVICE Memory: N" (KiB) for each key slot of the LUKS devices that are open now; the device alone where
# its header was not readable.
luks_memory() {
    for mapped in /sys/block/dm-*; do
        there "$mapped/dm/uuid" || continue
        uuid=$(cat "$mapped/dm/uuid") || return
        case $uuid in
        CRYPT-LUKS*) ;;
        *) continue ;;
        esac
        for slave in "$mapped"/slaves/*; do
            header=$(limit 5 cryptsetup luksDump "/dev/${slave##*/}" 2>/dev/null) || header=unreadable
            printf '%s\n' "$header" | sed -n -e "s,^[[:space:]]*\\(Memory:.*\\),/dev/${slave##*/} \\1,p" -e "s,^unreadable,/dev/${slave##*/} unreadable,p"
        done
    done
}
