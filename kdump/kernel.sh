# POSIX sh. What the installed kernels were built with.

# kernel_configs REGEX: "FILE:CONFIG_X=y" for the options CONFIG_(REGEX) of every kernel whose configuration is
# installed; /proc/config.gz only where the running kernel has no such file.
kernel_configs() {
    options="^CONFIG_($1)="
    running=$(uname -r)
    there "/boot/config-$running" || there "/lib/modules/$running/config" || ! there /proc/config.gz ||
        zcat /proc/config.gz | grep -E "$options" | sed 's,^,/proc/config.gz:,'
    set --
    for file in /boot/config-*; do
        ! there "$file" || set -- "$@" "$file"
    done
    for folder in /lib/modules/*; do
        ! there "$folder/config" || set -- "$@" "$folder/config"
    done
    lines_in "$options" "$@"
}
