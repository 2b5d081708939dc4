# POSIX sh. What the boot loader will start next.

# boot_configuration: the boot loader's files, each under "== FILE", menus cut down to what decides about the kernel's
# command line. Nothing where the host has none. What forbids to look is said, and ends it: a folder that cannot be
# entered looks empty.
boot_configuration() {
    for folder in /boot /boot/grub /boot/grub2 /boot/loader /boot/loader/entries /boot/efi /boot/efi/EFI /efi; do
        readable "$folder" || return
    done
    # a /boot that is not mounted looks empty too
    set -- /proc/mounts
    ! there /etc/fstab || set -- /proc/mounts /etc/fstab
    unmounted=$(awk 'FILENAME == "/proc/mounts" { on[$2] = 1; next }
        $1 !~ /^#/ && $2 ~ /^\/(boot|efi|boot\/efi|boot\/grub2?)$/ && !on[$2] { print $2; exit }' "$@") || return
    if [ -n "$unmounted" ]; then
        echo "$unmounted is in /etc/fstab and not mounted" >&2
        return 65
    fi
    for file in /sys/firmware/efi/efivars/LoaderInfo-*; do
        ! there "$file" || { echo "== LoaderInfo" && tail -c +5 "$file" | tr -d '\000' && echo; } || return
    done
    for file in /boot/grub /boot/grub2 /boot/efi/EFI/*; do
        file=$file/grub.cfg
        there "$file" || continue
        lines=$(grep -m 3000 -E '^[[:space:]]*((menuentry|submenu|function|linux|linux16|linuxefi|linuxefi64|set|blscfg|blsuki|configfile)([[:space:]]|$)|\})' "$file") ||
            [ $? -eq 1 ] || return
        printf '== %s\n%s\n' "$file" "$lines"
    done
    set --
    for folder in /boot/efi/EFI/*; do
        ! there "$folder/grubenv" || set -- "$@" "$folder/grubenv"
    done
    for file in /boot/grub/grubenv /boot/grub2/grubenv "$@" \
        /boot/loader/loader.conf /boot/efi/loader/loader.conf /efi/loader/loader.conf \
        /boot/loader/entries/*.conf /boot/efi/loader/entries/*.conf /efi/loader/entries/*.conf; do
        there "$file" || continue
        lines=$(grep -m 60 -v '^#' "$file") || [ $? -eq 1 ] || return
        printf '== %s\n%s\n' "$file" "$lines"
    done
    for file in /boot/extlinux/extlinux.conf /boot/efi/EFI/Linux/*.efi /efi/EFI/Linux/*.efi; do
        ! there "$file" || echo "== $file"
    done
    return 0
}
