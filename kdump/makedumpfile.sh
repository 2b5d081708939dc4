# POSIX sh. The makedumpfile of the host, tried on the running kernel, and the one in the kdump initramfs.

# makedumpfile_reads KEY: how many lines of makedumpfile hold VMCOREINFO's key NUMBER(KEY)=, that is, whether it reads it.
makedumpfile_reads() {
    grep -acF "NUMBER($1)=" "$(command -v makedumpfile || echo /usr/sbin/makedumpfile)"
}

# makedumpfile_traits KEY…: its version, and which of these keys of VMCOREINFO it reads, each with the equals sign.
makedumpfile_traits() {
    program=$(command -v makedumpfile || echo /usr/sbin/makedumpfile)
    said=$(exec "$program" -v 2>&1) || {
        status=$?
        echo "$said" >&2
        return "$status"
    }
    printf '%s\n' "${said%%"$line_break"*}"
    words=
    for key; do words=$words${words:+$line_break}$key=; done
    words=$(exec grep -aoF -e "$words" "$program") || [ $? -eq 1 ] || return
    for key; do
        case $line_break$words$line_break in *"$line_break$key=$line_break"*) echo "$key=" ;; esac
    done
    return 0
}

# makedumpfile_trial: let makedumpfile walk the memory of the running kernel as it would walk that of a crashed one.
# It costs some 30 s for each TiB of memory, so it is asked only where nothing cheaper answers: the kernel does not
# say how large its memory sections are, makedumpfile would not listen, or pages have types (Linux 6.10 and later).
makedumpfile_trial() {
    # shellcheck disable=SC2310  # a failure means: ask
    told=$(kcore_vmcoreinfo) || return 66
    case $told in
    *_SLAB_MAPCOUNT_VALUE*) ;;
    *SECTION_SIZE_BITS*)
        case $(makedumpfile_reads SECTION_SIZE_BITS) in
        0) ;;
        *)
            echo "not needed"
            return
            ;;
        esac
        ;;
    esac
    grep -E '^(MemTotal|MemFree):' /proc/meminfo
    limit 30 nice -n 10 makedumpfile --mem-usage /proc/kcore 2>&1
}

# capture_makedumpfile: "same WHY" where the capture kernel will run the host's makedumpfile or a copy of it; otherwise the
# traits of both, as far as they can be seen.
capture_makedumpfile() {
    tool=$(command -v makedumpfile || echo /usr/sbin/makedumpfile)
    installed=$(stat -L -c %Z "$tool") || return
    kdump_userspace || return
    # shellcheck disable=SC2154  # kdump_userspace sets it
    if [ "$userspace" = kdump-tools ]; then
        echo "same the capture kernel boots the whole system"
        return
    fi
    image=$(capture_image_path) || return
    built=$(stat -L -c %Y "$image") || return
    if [ "$installed" -le "$built" ]; then
        echo "same the kdump initramfs was built after it was installed"
        return
    fi
    traits_of host <"$tool"
    command -v cpio >/dev/null || return 0
    found=$(each_segment "$image" makedumpfile_segment)
    for folder in squashfs-root erofs-root squash-root; do
        case $found in *"image id"*) break ;; esac
        command -v lsinitrd >/dev/null || break
        found=$(limit 15 lsinitrd "$image" -f "$folder/usr/sbin/makedumpfile" 2>/dev/null | traits_of image)
        case $found in *"image id"*) break ;; esac
        found=$(limit 15 lsinitrd "$image" -f "$folder/usr/bin/makedumpfile" 2>/dev/null | traits_of image)
    done
    printf '%s\n' "$found"
}

makedumpfile_segment() {
    unpack_segment "$1" "$2" "$3" | limit 15 cpio -i --to-stdout --quiet '*bin/makedumpfile' | traits_of image
    case $3 in
    30373037*) list_segment "$1" "$2" "$3" >/dev/null ;;
    esac
}

# traits_of WHOSE: of a program on stdin "WHOSE id BUILD-ID" (the ELF note, near its beginning), and "WHOSE reads" where it
# reads the size of a memory section.
traits_of() {
    head -c 4096 | od -An -v -tx1 | tr -d ' \n' | sed -n "s/.*040000001400000003000000474e5500\(.\{40\}\).*/$1 id \1/p"
    ! grep -aqF 'NUMBER(SECTION_SIZE_BITS)=' || echo "$1 reads"
}
