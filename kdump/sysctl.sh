# POSIX sh. What the boot will set.

# sysctl_at_boot REGEX [GROUP]: first every file that sets sysctls at boot, the folders that win first (sysctl.d(5)), then the
# lines of these files that set GROUP.(REGEX), of the kernel's own without GROUP. systemd-sysctl(8) does not read /etc/sysctl.conf unless a folder links
# to it; other init systems read it last. A folder that cannot be read looks empty: that ends it.
sysctl_at_boot() {
    setting="^[[:space:]]*-?[[:space:]]*${2:-kernel}[./]($1)[[:space:]]*="
    set --
    for folder in /etc /run /usr/local/lib /usr/lib /lib; do
        if [ -d "$folder/sysctl.d" ] && ! { [ -r "$folder/sysctl.d" ] && [ -x "$folder/sysctl.d" ]; }; then
            echo "$folder/sysctl.d: Permission denied" >&2
            return 2
        fi
        for file in "$folder"/sysctl.d/*.conf; do
            [ ! -e "$file" ] || set -- "$@" "$file"
        done
    done
    [ -d /run/systemd/system ] || [ ! -e /etc/sysctl.conf ] || set -- "$@" /etc/sysctl.conf
    for file; do echo "$file"; done
    grep -EH "$setting" "$@"
}
