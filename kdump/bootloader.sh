# POSIX sh. What the boot loader will start next.

# boot_configuration: the boot loader's files, each under "== FILE", menus cut down to what decides about the kernel's
# command line. Nothing where the host has none. What forbids to look is said, and ends it: a folder that cannot be
# entered looks empty.
boot_configuration() {
    for folder in /boot /boot/grub /boot/grub2 /boot/loader /boot/loader/entries /boot/efi /boot/efi/EFI /efi; do
        if [ -d "$folder" ] && ! { [ -r "$folder" ] && [ -x "$folder" ]; }; then
            echo "$folder: Permission denied" >&2
            return 1
        fi
    done
    # a /boot that is not mounted looks empty too
    unmounted=$(awk 'FILENAME == "/proc/mounts" { on[$2] = 1; next }
        $1 !~ /^#/ && $2 ~ /^\/(boot|efi|boot\/efi|boot\/grub2?)$/ && !on[$2] { print $2; exit }' /proc/mounts /etc/fstab 2>/dev/null)
    if [ -n "$unmounted" ]; then
        echo "$unmounted is in /etc/fstab and not mounted" >&2
        return 65
    fi
    for file in /sys/firmware/efi/efivars/LoaderInfo-*; do
        [ ! -e "$file" ] || { echo "== LoaderInfo" && tail -c +5 "$file" | tr -d '\000' && echo; } || return
    done
    for file in /boot/grub/grub.cfg /boot/grub2/grub.cfg /boot/efi/EFI/*/grub.cfg; do
        [ -e "$file" ] || continue
        lines=$(grep -m 3000 -E '^[[:space:]]*((menuentry|submenu|function|linux|linux16|linuxefi|linuxefi64|set|blscfg|blsuki|configfile)([[:space:]]|$)|\})' "$file") ||
            [ $? -eq 1 ] || return
        printf '== %s\n%s\n' "$file" "$lines"
    done
    for file in /boot/grub/grubenv /boot/grub2/grubenv /boot/efi/EFI/*/grubenv \
        /boot/loader/loader.conf /boot/efi/loader/loader.conf /efi/loader/loader.conf \
        /boot/loader/entries/*.conf /boot/efi/loader/entries/*.conf /efi/loader/entries/*.conf; do
        [ -e "$file" ] || continue
        lines=$(grep -m 60 -v '^#' "$file") || [ $? -eq 1 ] || return
        printf '== %s\n%s\n' "$file" "$lines"
    done
    for file in /boot/extlinux/extlinux.conf /boot/efi/EFI/Linux/*.efi /efi/EFI/Linux/*.efi; do
        [ ! -e "$file" ] || echo "== $file"
    done
    return 0
}
