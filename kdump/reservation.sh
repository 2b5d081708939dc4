# POSIX sh. The memory reserved for the capture kernel.

# crash_size: bytes reserved. The kernel answers "busy" while a capture kernel is being loaded (kernel/ksysfs.c,
# crash_get_memory_size()): ask again.
crash_size() {
    if [ ! -d /sys/kernel ]; then
        echo "/sys is not mounted" >&2
        return 65
    fi
    for file in /sys/kernel/kexec/crash_size /sys/kernel/kexec_crash_size; do
        if [ -e "$file" ]; then
            # the answer at once, nearly always
            ! read -r size <"$file" || { echo "$size" && return; }
            break
        fi
    done
    for _ in 1 2 3 4; do
        size=$(first_of /sys/kernel/kexec/crash_size /sys/kernel/kexec_crash_size 2>&1) && status=0 || status=$?
        case $size in
        *busy*) sleep 1 ;;
        *) break ;;
        esac
    done
    if [ "$status" -eq 0 ]; then echo "$size"; else echo "$size" >&2; fi
    return "$status"
}

# crashkernel_log: what the kernel logged about crashkernel= at boot, and of memory that is encrypted (arch/x86/mm/mem_encrypt.c)
# or watched (KASAN, KMSAN), for which the capture kernel needs more, if that is still in its ring buffer.
crashkernel_log() {
    log=$(exec dmesg 2>&1) && status=0 || status=$?
    if [ "$status" -ne 0 ]; then
        echo "$log" | tail -n 1 >&2
        return "$status"
    fi
    # the ring buffer's first lines may be gone: then the command line that the kernel logs first is not there
    printf '%s\n' "$log" | awk 'tolower($0) ~ /crash ?kernel|memory encryption features active|kernel(address|memory)sanitizer|^(\[[^]]*\] *)?linux version/ && ++kept <= 40 { print substr($0, 1, 400) }'
}
