# POSIX sh. What the boot will set.

# sysctl_at_boot REGEX [GROUP]: first every file that sets sysctls at boot, the folders that win first (sysctl.d(5)), then the
# lines of these files that set GROUP.(REGEX), of the kernel's own without GROUP. systemd-sysctl(8) does not read /etc/sysctl.conf unless a folder links
# to it; other init systems read it last.
sysctl_at_boot() {
    setting="^[[:space:]]*-?[[:space:]]*${2:-kernel}[./]($1)[[:space:]]*="
    set --
    for folder in /etc /run /usr/local/lib /usr/lib /lib; do
        for file in "$folder"/sysctl.d/*.conf; do
            ! there "$file" || set -- "$@" "$file"
        done
    done
    there /run/systemd/system || ! there /etc/sysctl.conf || set -- "$@" /etc/sysctl.conf
    for file; do echo "$file"; done
    lines_in "$setting" /etc/sysctl.d /run/sysctl.d /usr/local/lib/sysctl.d /usr/lib/sysctl.d /lib/sysctl.d "$@"
}
