# POSIX sh. What a squashed kdump initramfs rests on.

# modprobe_answers RELEASE MODULE…: what modprobe would do to get these modules of a kernel, and whether the file that it
# would load is there: "RELEASE MODULE gone|ok|refused LINE", LINE being modprobe's own (--show-depends).
modprobe_answers() {
    release=$1
    shift
    for module; do
        found=$(limit 5 modprobe -S "$release" --show-depends "$module" 2>&1 | tail -n 1)
        file=${found#insmod }
        file=${file%% *}
        case $found in
        install\ *) limit 5 modprobe -S "$release" --dry-run "$module" 2>/dev/null && state=ok || state=refused ;;
        insmod\ *) [ -e "$file" ] && state=ok || state=gone ;;
        *) state=ok ;;
        esac
        printf '%s %s %s %s\n' "$release" "$module" "$state" "$found"
    done
}

# squash_modules MODULE…: modprobe_answers of every installed kernel. Only kdumpctl squashes: elsewhere nobody is asked.
squash_modules() {
    [ -e /usr/bin/kdumpctl ] || [ -e /usr/sbin/kdumpctl ] || return 0
    for index in /lib/modules/*/modules.dep; do
        index=${index%/modules.dep}
        modprobe_answers "${index##*/}" "$@"
    done
}

# squash_rules: the lines by which the installed dracut and kdump-utils decide about squashing.
squash_rules() {
    set --
    for file in /usr/lib/dracut/modules.d/[0-9][0-9]squash*/module-setup.sh \
        /usr/lib/dracut/modules.d/[0-9][0-9]kdumpbase/module-setup.sh \
        /usr/lib/kdump/kdump-lib.sh /usr/sbin/mkdumprd /usr/bin/mkdumprd; do
        [ ! -e "$file" ] || set -- "$@" "$file"
    done
    [ $# -gt 0 ] || return 0
    grep -EH '^[^#]*(instmods|require_kernel_modules|check_kernel_module|is_squash_available|--add[ =]squash|--squash-compressor[^a-z0-9]+[a-z0-9])' "$@"
    status=$?
    for file; do
        case $file in */module-setup.sh) printf '%s\n' "$file" ;; esac
    done
    return "$status"
}
