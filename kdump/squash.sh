# POSIX sh. What a squashed kdump initramfs rests on.

# modprobe_answers RELEASE MODULE…: what modprobe would do to get these modules of a kernel, and whether the file that it
# would load is there: "RELEASE MODULE gone|ok|refused LINE", LINE being modprobe's own (--show-depends).
modprobe_answers() {
    release=$1
    shift
    # modprobe knows of no module where it cannot read its lists, and passes over what forbids to load one
    for list in "/lib/modules/$release" "/lib/modules/$release/modules.dep.bin" "/lib/modules/$release/modules.builtin.bin" \
        /etc/modprobe.d /run/modprobe.d /usr/lib/modprobe.d /lib/modprobe.d /etc/modprobe.d/*.conf /run/modprobe.d/*.conf \
        /usr/lib/modprobe.d/*.conf /lib/modprobe.d/*.conf; do
        readable "$list" || return
    done
    for module; do
        found=$(limit 5 modprobe -S "$release" --show-depends "$module" 2>&1 | tail -n 1)
        file=${found#insmod }
        file=${file%% *}
        case $found in
        install\ *) limit 5 modprobe -S "$release" --dry-run "$module" 2>/dev/null && state=ok || state=refused ;;
        insmod\ *) there "$file" && state=ok || state=gone ;;
        *) state=ok ;;
        esac
        printf '%s %s %s %s\n' "$release" "$module" "$state" "$found"
    done
}

# squash_modules MODULE…: modprobe_answers of every installed kernel. Only kdumpctl squashes: elsewhere nobody is asked.
squash_modules() {
    kdump_userspace || return
    # shellcheck disable=SC2154  # kdump_userspace sets it
    [ "$userspace" = kdumpctl ] || return 0
    for modules in /lib/modules/*; do
        ! there "$modules/modules.dep" || modprobe_answers "${modules##*/}" "$@"
    done
}

# squash_rules: the lines by which the installed dracut and kdump-utils decide about squashing.
squash_rules() {
    set --
    for folder in /usr/lib/dracut/modules.d/[0-9][0-9]squash* /usr/lib/dracut/modules.d/[0-9][0-9]kdumpbase; do
        ! there "$folder/module-setup.sh" || set -- "$@" "$folder/module-setup.sh"
    done
    for file in /usr/lib/kdump/kdump-lib.sh /usr/sbin/mkdumprd /usr/bin/mkdumprd; do
        ! there "$file" || set -- "$@" "$file"
    done
    [ $# -gt 0 ] || return 0
    lines_in '^[^#]*(instmods|require_kernel_modules|check_kernel_module|is_squash_available|(_dep|add_opt_module) squash|--add[ =]squash|--squash-compressor[^a-z0-9]+[a-z0-9])' "$@"
    status=$?
    for file; do
        case $file in */module-setup.sh) printf '%s\n' "$file" ;; esac
    done
    return "$status"
}

# dracut_omissions: which dracut modules and drivers dracut's configuration leaves out, and which it has put in: first its files,
# the folders that win first, then their lines that do so, and those of dracut and mkdumprd that tell what becomes of them.
# "no dracut" where there is none.
dracut_omissions() {
    if ! command -v dracut >/dev/null; then
        echo "no dracut"
        return 0
    fi
    set --
    for folder in /etc/dracut.conf.d /lib/kdump/dracut.conf.d /usr/lib/dracut/dracut.conf.d /run/initramfs/dracut.conf.d; do
        for file in "$folder"/*.conf; do
            ! there "$file" || set -- "$@" "$file"
        done
    done
    ! there /etc/dracut.conf || set -- /etc/dracut.conf "$@"
    for file; do echo "file $file"; done
    lines_in '^([^#]*[^_a-z#])?(((omit|force_add)_)?dracutmodules|((omit|add|force)_)?drivers)[+]?=' "$@" \
        /etc/dracut.conf.d /lib/kdump/dracut.conf.d /usr/lib/dracut/dracut.conf.d /run/initramfs/dracut.conf.d
    [ $? -le 1 ] || return 2
    set --
    for program in dracut mkdumprd; do
        program=$(command -v "$program") && set -- "$@" "$program"
    done
    grep -EH '^[^#]*(omit_dracutmodules[+]?=|--add-confdir|/run/initramfs/dracut[.]conf[.]d)|omit_dracutmodules_l\[.*omit_dracutmodules[+]?=' "$@"
}
