# POSIX sh. Debuginfo: where each flavour keeps it, and the bytes that identify it.

# vmlinux_places RELEASE: the debuginfo of that kernel, one file a line; of every kernel where RELEASE is '*'. Under
# $kernel_root, where that is set.
vmlinux_places() {
    # shellcheck disable=SC2154  # the script that this is part of sets kernel_root
    set -- "$1" "$kernel_root/usr/lib"
    there "$2/debug" 2>/dev/null
    # shellcheck disable=SC2231,SC2254  # a pattern may be meant
    [ $? -eq 1 ] || for place in "$2"/debug/boot/vmlinux-$1 "$2"/debug/boot/vmlinux-$1.[dgbxz]* \
        "$2"/debug/lib/modules/$1/vmlinux "$2"/debug/lib/modules/$1/vmlinux.[dgbxz]* \
        "$2"/debug/usr/lib/modules/$1/vmlinux "$2"/debug/usr/lib/modules/$1/vmlinux.[dgbxz]*; do
        case $place in
        */vmlinux-$1 | */vmlinux | *.debug | *.gz | *.bz2 | *.xz | *.zst) ! file_there "$place" || printf '%s\n' "$place" ;;
        esac
    done
    # shellcheck disable=SC2231
    for place in "$2"/modules/$1/vmlinux.debug "$kernel_root"/boot/vmlinux-$1.debug "$kernel_root"/boot/vmlinux-$1.bz2 \
        "$kernel_root"/lib/modules/$1/vmlinux "$kernel_root"/lib/modules/$1/build/vmlinux; do
        ! file_there "$place" || printf '%s\n' "$place"
    done
}

# own_vmlinux: what packages of kernels themselves bring (SUSE's, compressed and without DWARF), of every kernel.
own_vmlinux() {
    for place in /boot/vmlinux-* /usr/lib/modules/*/vmlinux.gz /usr/lib/modules/*/vmlinux.xz /usr/lib/modules/*/vmlinux.zst; do
        ! file_there "$place" || printf '%s\n' "$place"
    done
}

# vmlinux_by_id: the .debug file of the running kernel that is named by its build-id.
vmlinux_by_id() {
    notes=$(od -An -v -tx1 /sys/kernel/notes | tr -d ' \n')
    case $notes in *040000001400000003000000474e5500*) ;; *) return ;; esac
    rest=${notes#*040000001400000003000000474e5500}
    id=${rest%"${rest#????????????????????????????????????????}"}
    place=/usr/lib/debug/.build-id/${id%"${id#??}"}/${id#??}.debug
    ! file_there "$place" || printf '%s\n' "$place"
}

# vmlinux_files: what --vmlinux names, then what is of the running kernel, then the others; twenty-four at most.
vmlinux_files() {
    for place in /boot /usr/lib/debug /usr/lib/debug/boot /usr/lib/debug/lib/modules /usr/lib/debug/usr/lib/modules; do
        # its files cannot be seen, so it stands for them
        readable "$place" 2>/dev/null || printf 'file %s/\nsize 0\npermission denied\n' "$place"
    done
    IFS='
'
    set -f
    # shellcheck disable=SC2086,SC2154  # one word per line; the script that this is part of sets it
    set -- $vmlinux_given
    set +f
    for file; do
        if file_there "$file"; then
            vmlinux_evidence "$file" | sed '1s/$/\
given/'
        else
            printf 'file %s\ngiven\nnot here\n' "$file"
        fi
    done
    found=$({ vmlinux_places "$(uname -r)" && vmlinux_by_id && vmlinux_places '*' && own_vmlinux; } | awk '!seen[$0]++ && ++kept <= 24')
    set -f
    # shellcheck disable=SC2086  # one word per line
    set -- $found
    set +f
    unset IFS
    vmlinux_evidence "$@"
}

# boot_images: "PATH:" and the words by which each installed kernel image names its build, where its header does (x86).
boot_images() {
    boot_can_be_seen || return
    for ev_file in /boot/vmlinuz-*; do
        file_there "$ev_file" || continue
        # shellcheck disable=SC2034  # ev_hex reads it
        ev_inside=''
        words=''
        # "HdrS", and where the words stand (Documentation/arch/x86/boot.rst: 0x202 and 0x20e)
        ev_hex 514 14
        # shellcheck disable=SC2154  # ev_hex sets it
        case $ev_raw in
        48647253????????????????????)
            low=${ev_raw#????????????????????????} high=${ev_raw#??????????????????????????}
            words=$(tail -c "+$((0x$high${low%??} + 513))" "$ev_file" | head -c 256 | tr '\000' '\n')
            words=${words%%"$line_break"*}
            ;;
        esac
        printf '%s:%s\n' "$ev_file" "$words"
    done
    return 0
}
