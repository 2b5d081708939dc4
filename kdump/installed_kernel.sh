# POSIX sh. One installed kernel, running or not: its files, configuration, modules, image and debuginfo. Where
# $kernel_root is set, the kernel lies in that folder of this machine: an unpacked package, or the tree it was built in.

# boot_can_be_seen: fails, and says why, where /boot, or a folder of $kernel_root, may look empty without being so.
boot_can_be_seen() {
    if [ -n "$kernel_root" ]; then
        for entered in "$kernel_root" "$kernel_root"/boot "$kernel_root"/lib "$kernel_root"/lib/modules "$kernel_root"/lib/modules/* \
            "$kernel_root"/usr "$kernel_root"/usr/lib "$kernel_root"/usr/lib/modules "$kernel_root"/usr/lib/modules/*; do
            [ ! -d "$entered" ] || readable "$entered" || return 1
        done
        return 0
    fi
    readable /boot || return 1
    if there /etc/fstab && grep -qE '^[^#[:space:]]+[[:space:]]+/boot[[:space:]]' /etc/fstab && ! grep -q ' /boot ' /proc/mounts; then
        echo "/boot is in /etc/fstab and not mounted" >&2
        return 65
    fi
}

# is_build_tree: whether $kernel_root is the folder that a kernel was, or will be, built in.
is_build_tree() {
    [ -n "$kernel_root" ] && [ -f "$kernel_root/.config" ]
}

# kernel_releases: the releases of all kernels of which there is a trace.
kernel_releases() {
    boot_can_be_seen || return
    {
        for trace in "$kernel_root"/boot/vmlinu[xz]-* "$kernel_root"/boot/Image-* "$kernel_root"/boot/config-*; do
            ! there "$trace" || { trace=${trace##*/} && echo "${trace#*-}"; }
        done
        for trace in "$kernel_root"/lib/modules/* "$kernel_root"/usr/lib/modules/*; do
            if [ -e "$trace" ] && [ ! -d "$trace" ]; then continue; fi
            ! there "$trace" || echo "${trace##*/}"
        done
        if is_build_tree; then
            # kernel.release is made by the build; before that the configuration's header tells the version
            cat "$kernel_root/include/config/kernel.release" 2>/dev/null ||
                sed -n 's,^# Linux/[^ ]* \([^ ]*\) Kernel Configuration$,\1,p' "$kernel_root/.config"
        fi
    } | grep -v '^0-rescue-' | sort -u | head -n 60
    return 0
}

# kernel_presence RELEASE: the release; then all releases.
kernel_presence() {
    echo "$1"
    kernel_releases
}

# kernel_part PATH: fails, and says why, where nobody should read it as a part of the kernel: a pipe, which never ends, or a
# link of $kernel_root that leads to a kernel of this machine.
kernel_part() {
    if [ ! -f "$1" ] && [ ! -d "$1" ]; then
        echo "$1 is neither a file nor a folder" >&2
        return 65
    fi
    [ -n "$kernel_root" ] || return 0
    inside=$(readlink -f "$kernel_root") && leads=$(readlink -f "$1") || return
    case $leads in
    "${inside%/}"/*) ;;
    /boot/* | /lib/modules/* | /usr/lib/modules/*)
        echo "$1 leads to $leads of this machine" >&2
        return 65
        ;;
    esac
}

# kernel_place KIND RELEASE: where that part of the kernel lies; nothing where there is none.
kernel_place() {
    kind=$1
    release=$2
    case $kind in
    config) set -- "/boot/config-$release" "/lib/modules/$release/config" "/usr/lib/modules/$release/config" ;;
    image) set -- "/boot/vmlinuz-$release" "/boot/Image-$release" "/boot/vmlinux-$release" "/lib/modules/$release/vmlinuz" \
        "/usr/lib/modules/$release/vmlinuz" "/usr/lib/modules/$release/Image" ;;
    modules) set -- "/lib/modules/$release" "/usr/lib/modules/$release" ;;
    index) set -- "/lib/modules/$release/modules.dep" "/usr/lib/modules/$release/modules.dep" ;;
    built-in) set -- "/lib/modules/$release/modules.builtin" "/usr/lib/modules/$release/modules.builtin" ;;
    *) set -- ;;
    esac
    for place; do
        there "$kernel_root$place" || { [ $? -eq 1 ] && continue; } || return
        kernel_part "$kernel_root$place" || return
        echo "$kernel_root$place"
        return
    done
    is_build_tree || return 0
    case $kind in
    config) set -- /.config ;;
    image) set -- /arch/x86/boot/bzImage /arch/arm64/boot/vmlinuz.efi /arch/arm64/boot/Image.gz /arch/arm64/boot/Image ;;
    built-in) set -- /modules.builtin ;;
    *) set -- ;;
    esac
    for place; do
        there "$kernel_root$place" || { [ $? -eq 1 ] && continue; } || return
        kernel_part "$kernel_root$place" || return
        echo "$kernel_root$place"
        return
    done
}

# kernel_files RELEASE: "KIND SIZE PATH" of the parts that are there; "build tree" for one that is still to be installed.
kernel_files() {
    boot_can_be_seen || return
    if is_build_tree; then echo "build tree"; elif [ -n "$kernel_root" ]; then echo "package"; else echo "installed"; fi
    for part in config image modules index built-in; do
        place=$(kernel_place "$part" "$1") || return
        [ -z "$place" ] || stat -L -c "$part %s %n" "$place" || return
    done
}

# kernel_options RELEASE REGEX: the configuration's file, how many options it sets, and those that are CONFIG_(REGEX).
kernel_options() {
    boot_can_be_seen || return
    file=$(kernel_place config "$1") || return
    filter="/^CONFIG_/ { all++ } /^CONFIG_($2)=/ { print } END { print \"options \" all + 0 }"
    if [ -z "$file" ] && [ -z "$kernel_root" ] && [ "$1" = "$(uname -r)" ] && there /proc/config.gz; then
        echo "file /proc/config.gz"
        zcat /proc/config.gz | awk "$filter"
    elif [ -r "$file" ]; then
        echo "file $file"
        awk "$filter" "$file"
    else
        cat "${file:-$kernel_root/boot/config-$1}"
    fi
}

# kernel_modules RELEASE MODULE…: what modprobe would do to get these modules, as squash_modules says it. Of a kernel in
# a folder the files tell; where no modules were built yet, nothing does: "RELEASE MODULE unbuilt -".
kernel_modules() {
    if [ -z "$kernel_root" ]; then
        modprobe_answers "$@"
        return
    fi
    release=$1
    shift
    boot_can_be_seen || return
    folder=$(kernel_place modules "$release") || return
    built_in=$(kernel_place built-in "$release") || return
    for file in "$built_in" "$kernel_root/modules.order"; do
        [ -z "$file" ] || readable "$file" || return 1
    done
    for module; do
        if [ -n "$built_in" ] && grep -q "/$module\\.ko" "$built_in"; then
            answer="ok builtin $module"
        elif [ -n "$folder" ]; then
            # a folder that cannot be entered may hold it
            found=$(find -L "$folder" \( -name build -o -name source \) -prune -o -name "$module.ko*" -print) || return
            file=${found%%"$line_break"*}
            answer="ok ${file:+insmod $file}"
            [ -n "$file" ] || answer="ok modprobe: FATAL: Module $module not found in directory $folder"
        elif [ -e "$kernel_root/modules.order" ]; then
            # the lines ended in .ko, with kernel/ before them, until Linux 6.3 made them the names of object files
            file=$(sed -n "s|^\\(kernel/\\)\\{0,1\\}\\(.*/$module\\)\\.k\\{0,1\\}o\$|\\2.ko|p" "$kernel_root/modules.order" | head -n 1)
            if [ -z "$file" ]; then
                answer="ok modprobe: FATAL: Module $module not found in directory $kernel_root"
            elif [ -e "$kernel_root/$file" ]; then
                answer="ok insmod $file"
            else
                answer="gone insmod $file"
            fi
        else
            answer="unbuilt -"
        fi
        printf '%s %s %s\n' "$release" "$module" "$answer"
    done
}

# kernel_module_names RELEASE: the names of all its modules, built in or not; "unbuilt" where none was built yet.
kernel_module_names() {
    [ -z "$kernel_root" ] || boot_can_be_seen || return
    folder=$(kernel_place modules "$1") || return
    built_in=$(kernel_place built-in "$1") || return
    index=$(kernel_place index "$1") || return
    if [ -z "$kernel_root" ] && [ -z "$index" ]; then
        cat "/lib/modules/$1/modules.dep"
        return
    fi
    if [ -z "$folder$built_in" ]; then
        echo unbuilt
        return
    fi
    {
        [ -z "$built_in" ] || cat "$built_in"
        if [ -n "$index" ]; then
            sed 's/:.*//' "$index"
        elif [ -n "$folder" ]; then
            find "$folder" -name '*.ko*'
        elif [ -e "$kernel_root/modules.order" ]; then
            cat "$kernel_root/modules.order"
        fi
    } | sed -e 's,.*/,,' -e 's/\.k\{0,1\}o.*//' | tr '\n' ' '
}

# kernel_kdump_image_listing RELEASE: of the kdump initramfs that lies ready for that kernel, see capture_image_listing;
# nothing where there is none (most are built when their kernel first runs).
kernel_kdump_image_listing() {
    [ -z "$kernel_root" ] || return 0
    boot_can_be_seen || return
    for known_image_path in "/boot/initramfs-${1}kdump.img" "/var/lib/kdump/initramfs-${1}kdump.img" /boot/*/"$1"/initrdkdump \
        "/boot/initrd-${1}kdump.img" "/boot/initrd-$1-kdump" "/var/lib/kdump/initrd.img-$1"; do
        if there "$known_image_path"; then
            capture_image_listing
            return
        fi
    done
    for folder in /boot /var/lib/kdump; do # what cannot be entered looks empty
        readable "$folder" || return
    done
}

# kernel_initramfs_listing RELEASE: of the initramfs that the kernel itself boots with, see capture_image_listing; then
# "newer NAME…", its modules that were written later. Where none lies in a known place (initramfs-tools; dracut; SUSE;
# kernel-install; ostree), "other PATH" of each file that is called like one, or like a kernel with one inside.
kernel_initramfs_listing() {
    [ -z "$kernel_root" ] || return 0
    boot_can_be_seen || return
    for folder in /boot /boot/efi /efi; do # what cannot be entered looks empty
        readable "$folder" || return
    done
    for known_image_path in "/boot/initrd.img-$1" "/boot/initramfs-$1.img" "/boot/initrd-$1" "/boot/initrd-$1.img" \
        /boot/*/"$1"/initrd* /boot/efi/*/"$1"/initrd* /efi/*/"$1"/initrd* /boot/ostree/*/"initramfs-$1.img" \
        "/usr/lib/modules/$1/initramfs.img" "/usr/lib/modules/$1/initrd"; do
        case $known_image_path in *kdump) continue ;; esac
        there "$known_image_path" || continue
        capture_image_listing || return
        names=$(find "/lib/modules/$1/" -name '*.ko*' -newer "$known_image_path" | sed -e 's,.*/,,' -e 's/\.ko.*//')
        # shellcheck disable=SC2086  # one line of words
        [ -z "$names" ] || echo newer $names
        return
    done
    for place in /boot/init* /boot/*/init* /boot/*/*/init* /efi/*/*/init* /boot/EFI/Linux/*.efi \
        /boot/efi/EFI/Linux/*.efi /efi/EFI/Linux/*.efi; do
        case $place in *kdump*) continue ;; esac
        ! file_there "$place" || echo "other $place"
    done
}

# kernel_image RELEASE: the bytes of the image that say what it is, see vmcore_evidence.
kernel_image() {
    boot_can_be_seen || return
    ev_file=$(kernel_place image "$1") || return
    [ -n "$ev_file" ] || { cat "$kernel_root/boot/vmlinuz-$1" && return; } || return
    ev_begin || return
    ev_put 0 640
    ev_hex 514 4
    # shellcheck disable=SC2154  # ev_hex and ev_num set them
    if [ "$ev_raw" = 48647253 ]; then # an x86 boot image (Documentation/arch/x86/boot.rst): where its version stands
        ev_num 526 2
        ev_put $((ev_n + 512)) 256
    fi
    return 0
}

# unpacked_image: the image $ev_file, decompressed, where it is none for x86 (Linux Documentation/arch/arm64/booting.rst;
# drivers/firmware/efi/libstub/zboot-header.S: "zimg", offset and size of what is packed, and how).
unpacked_image() {
    ev_hex 0 8
    case $ev_raw in
    1f8b*) gzip -dc <"$ev_file" ;;
    4d5a????7a696d67)
        ev_num 8 4 && ev_from=$ev_n
        ev_num 12 4 && ev_long=$ev_n
        ev_hex 24 4
        case $ev_raw in
        677a6970) set -- gzip -dc ;;
        7a737464) set -- zstd -dcq ;;
        787a*) set -- xz -dc ;;
        *) set -- cat ;;
        esac
        tail -c "+$((ev_from + 1))" "$ev_file" | head -c "$ev_long" | "$@" 2>/dev/null
        ;;
    *) cat "$ev_file" ;;
    esac
}

# kernel_image_strings RELEASE: the words of the image by which it names itself, and VMCOREINFO's SECTION_SIZE_BITS, if it
# is there. An x86 image names itself in its header, and its sections have one size always: it is not unpacked for this.
kernel_image_strings() {
    boot_can_be_seen || return
    ev_file=$(kernel_place image "$1") || return
    [ -n "$ev_file" ] || { cat "$kernel_root/boot/vmlinuz-$1" && return; } || return
    ev_begin >/dev/null || return
    ev_hex 514 4
    if [ "$ev_raw" = 48647253 ]; then
        echo "not needed"
        return
    fi
    echo "file $ev_file"
    unpacked_image | head -c 268435456 | tr -c '[:print:]' '\n' | grep -E '^(Linux version [0-9]|SECTION_SIZE_BITS$)' | head -n 8
    return 0
}

# kernel_vmlinux RELEASE: debuginfo of that kernel; the bytes that identify it.
kernel_vmlinux() {
    vmlinux_of "$1"
    IFS='
'
    # shellcheck disable=SC2086  # one word per line
    set -- $found
    unset IFS
    vmlinux_evidence "$@"
}

# vmlinux_of RELEASE: sets found to the places, one a line, where there is a vmlinux of that kernel.
vmlinux_of() {
    found=$(vmlinux_places "$1")
    [ -z "$found" ] || found="$found
"
    if is_build_tree && [ -f "$kernel_root/vmlinux" ]; then found="$found$kernel_root/vmlinux
"; fi
}

# kernel_vmlinux_banners RELEASE: "FILE:Linux version …" of that debuginfo.
kernel_vmlinux_banners() {
    vmlinux_of "$1"
    printf '%s' "$found" | while IFS= read -r file; do
        limit 8 grep -aoE -m 3 'Linux version [0-9][ -~]{8,400}' "$file" | head -n 3 | sed "s,^,$file:,"
    done
    return 0
}
