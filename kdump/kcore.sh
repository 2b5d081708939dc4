# POSIX sh. The head of /proc/kcore: a few KiB of ELF headers and notes. It is never read further.

# kcore_program_headers: one program header per line, as seven 64-bit words (Elf64_Phdr; flags and type share the first).
# The kernel writes them right behind the ELF header (fs/proc/kcore.c).
kcore_program_headers() {
    count=$(od -An -v -tu2 -j 56 -N 2 /proc/kcore) || return
    [ "$((count))" -gt 0 ] && [ "$((count))" -lt 1000 ] || return
    od -An -v -tx8 -w56 -j 64 -N "$((count * 56))" /proc/kcore
}

# kcore_vmcoreinfo: the lines of VMCOREINFO that say what kernel this is and how its memory is laid out.
kcore_vmcoreinfo() {
    if [ -n "${known_vmcoreinfo-}" ]; then
        echo "$known_vmcoreinfo"
        return
    fi
    head -c 65536 /proc/kcore | tr '\000' '\n' |
        grep -aE '^(OSRELEASE|BUILD-ID|PAGESIZE|KERNELOFFSET|NUMBER\((SECTION_SIZE_BITS|MAX_PHYSMEM_BITS|PAGE_[A-Z]+_MAPCOUNT_VALUE)\))=[[:graph:]]+$'
}

# kernel_symbols: "kexec N", N not 0 where kexec looks for the beginning of an arm64 kernel, and the symbols that it goes by.
kernel_symbols() {
    [ "$(uname -m)" = aarch64 ] || return 0
    if ! program=$(command -v kexec); then
        echo "kexec: not found" >&2
        return 127
    fi
    count=$(grep -acF __init_begin "$program") || [ $? -eq 1 ] || return
    echo "kexec $count"
    grep -E ' (_text|_stext|__init_begin)$' /proc/kallsyms
}
