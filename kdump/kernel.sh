# POSIX sh. What the installed kernels were built with.

# kernel_configs REGEX: "FILE:CONFIG_X=y" for the options CONFIG_(REGEX) of every kernel whose configuration is
# installed; /proc/config.gz only where the running kernel has no such file.
kernel_configs() {
    options="^CONFIG_($1)="
    running=$(uname -r)
    [ -e "/boot/config-$running" ] || [ -e "/lib/modules/$running/config" ] || [ ! -e /proc/config.gz ] ||
        zcat /proc/config.gz | grep -E "$options" | sed 's,^,/proc/config.gz:,'
    set --
    for file in /boot/config-* /lib/modules/*/config; do
        [ ! -e "$file" ] || set -- "$@" "$file"
    done
    grep -EH "$options" "$@"
}
