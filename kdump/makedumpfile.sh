# POSIX sh. The makedumpfile of the host, tried on the running kernel.

# makedumpfile_reads KEY: how many lines of makedumpfile hold VMCOREINFO's key NUMBER(KEY)=, that is, whether it reads it.
makedumpfile_reads() {
    grep -acF "NUMBER($1)=" "$(command -v makedumpfile || echo /usr/sbin/makedumpfile)"
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
    limit 10 nice -n 10 makedumpfile --mem-usage /proc/kcore 2>&1
}
