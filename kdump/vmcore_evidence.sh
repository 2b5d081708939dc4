# POSIX sh. The bytes from which a dump, or a vmlinux, can be judged elsewhere, as text: the offsets of the format are
# followed here as kdump/parsers/ follow them, and what they read on the way is printed. Only od and ls read anything;
# at most 30 KB of a file (60 KB of text) are printed, and at most a few hundred reads are made, however large it is.
#
#     file /var/crash/202611230714/dump.202611230714
#     size 191388355
#     mtime 1795418176
#     allocated 191389696
#     @0 4b44554d5020202006000000…
#     @4096 0000100001000000…

# ev_undone: what $ev_inside makes of $ev_file, in 68 MiB of memory: `xz -9` takes 65 of them, and a file may ask for 4 GiB.
# gzip takes some kilobytes, and busybox's xz has a limit of its own, of 64 MiB.
ev_undone() {
    case $ev_inside in
    xz) XZ_DEFAULTS='--threads=1 --memlimit-decompress=68MiB' xz -dc <"$ev_file" ;;
    zstd) zstd -dc -M68MB <"$ev_file" ;;
    *) "$ev_inside" -dc <"$ev_file" ;;
    esac
}

# ev_words OFFSET LENGTH: the bytes there, as hexadecimal words. od seeks, except in what $ev_inside decompresses. For
# $(ev_words …) alone: it ends the process that it runs in.
ev_words() {
    if [ -n "$ev_inside" ]; then
        ev_undone 2>/dev/null | od -An -v -tx1 -j "$1" -N "$2" 2>/dev/null
    else
        exec od -An -v -tx1 -j "$1" -N "$2" <"$ev_file" 2>/dev/null
    fi
}

# ev_hex OFFSET LENGTH: sets ev_raw to the bytes there, as one hexadecimal word.
ev_hex() {
    # shellcheck disable=SC2046  # the words are meant
    set -- $(ev_words "$1" "$2")
    IFS=
    ev_raw=$*
    unset IFS
}

# ev_put OFFSET LENGTH: print the bytes there, unless there are none or too much has been printed; ev_raw is then empty.
ev_put() {
    ev_raw=
    [ "$1" -ge 0 ] && [ "$1" -lt "$ev_size" ] && [ "$2" -gt 0 ] || return 0
    ev_left=$((ev_left - $2))
    [ "$ev_left" -ge 0 ] || return 0
    ev_hex "$1" "$2"
    printf '@%s %s\n' "$1" "$ev_raw"
}

# ev_num OFFSET LENGTH: sets ev_n to the number there, in the byte order $ev_order; fails where the file ends before it
# or it is too large for a signed 64-bit number (ev_n is then -1).
ev_num() {
    ev_n=-1
    ev_hex "$1" "$2"
    [ "${#ev_raw}" -eq $(($2 * 2)) ] && ev_value "$ev_raw"
}

# ev_value WORD: sets ev_n to the number that these hexadecimal bytes are, likewise.
ev_value() {
    ev_n=-1
    ev_digits=$1
    if [ "$ev_order" != big ]; then
        ev_digits=
        ev_bytes_left=$1
        while [ -n "$ev_bytes_left" ]; do
            ev_digits=${ev_bytes_left%"${ev_bytes_left#??}"}$ev_digits
            ev_bytes_left=${ev_bytes_left#??}
        done
    fi
    case $ev_digits in
    [89a-f]???????????????) return 1 ;;
    esac
    ev_n=$((0x$ev_digits))
}

# vmcore_evidence FILE…: each dump, as long as there is time.
vmcore_evidence() {
    ev_until=$(($(date +%s) + 12)) # of the 20 s of the whole probe
    for ev_file in "$@"; do
        ev_begin || continue
        ev_now=$(date +%s)
        if [ "$ev_now" -gt "$ev_until" ]; then
            echo 'no time left'
            continue
        fi
        ev_vmcore
        [ "${ev_mtime:-0}" -lt $((ev_now - 120)) ] || ev_growing
    done
    return 0 # what could not be read is said in the text
}

# ev_growing: says so where $ev_file, changed a moment ago, is open in a process or has another size already.
ev_growing() {
    # shellcheck disable=SC2012,SC2046  # the fields before the name are meant, and every ls has them
    set -- $(ls -lnLd -- "$ev_file" 2>/dev/null)
    # Only root sees what others have open, and not even root where a policy hides it. The first process saves no dumps, and
    # is often hidden from a container's root.
    # shellcheck disable=SC2010  # find's -lname is not everywhere, and takes a pattern
    if [ "${5:-gone}" != "$ev_size" ] || [ "$(id -u)" -ne 0 ] ||
        ls -l /proc/[0-9]*/fd 2>&1 | grep -vF /proc/1/fd | grep -qF -e ': Permission denied' -e "-> $(readlink -f -- "$ev_file")"; then
        echo 'being written'
    fi
}

# vmlinux_evidence FILE…: likewise for vmlinux and .debug files.
vmlinux_evidence() {
    for ev_file in "$@"; do
        ev_begin && ev_vmlinux
    done
    return 0
}

# ev_begin: name, size and modification time of $ev_file; fails where it cannot be read.
ev_begin() {
    file_there "$ev_file" || return
    if [ ! -f "$ev_file" ]; then
        printf 'file %s\nsize 0\npermission denied\n' "$ev_file"
        return 1
    fi
    # shellcheck disable=SC2012,SC2046  # the fields before the name are meant, and every ls has them
    set -- $(ls -lnLd -- "$ev_file" 2>/dev/null)
    [ "$#" -ge 5 ] || return 1
    ev_size=$5
    printf 'file %s\nsize %s\n' "$ev_file" "$ev_size"
    # %b: blocks that it takes on the disk, of %B bytes each
    ev_stat=$(stat -L -c '%Y %b %B' -- "$ev_file" 2>/dev/null)
    ev_mtime=${ev_stat%% *}
    printf 'mtime %s\n' "$ev_mtime"
    ev_stat=${ev_stat#* }
    case $ev_stat in
    *[!\ 0-9]* | '') ;;
    *' '*) printf 'allocated %s\n' $((${ev_stat% *} * ${ev_stat#* })) ;;
    esac
    ev_left=30000
    ev_order=little
    ev_inside=
    if ! [ -r "$ev_file" ]; then
        echo 'permission denied'
        return 1
    fi
}

ev_vmcore() {
    ev_put 0 512
    ev_hex 0 16
    case $ev_raw in
    6d616b6564756d7066696c65*) ev_flattened ;;
    4b44554d50202020*) ev_kdump ;;
    7f454c46*) ev_elf ;;
    *) ev_put $((ev_size > 16 ? ev_size - 16 : 0)) 16 ;;
    esac
}

# ev_kdump_header HEAD: the common header lies at HEAD of the file. Sets what the rest needs; fails where it is none.
ev_kdump_header() {
    ev_order=little
    ev_num $(($1 + 8)) 4 || return
    if [ "$ev_n" -gt 65535 ]; then
        ev_order=big
        ev_num $(($1 + 8)) 4 || return
    fi
    ev_version=$ev_n
    ev_hex $(($1 + 272)) 8 # utsname.machine
    ev_aligned=
    case $ev_raw in
    # arm…, mips…, ppc…, s390…, parisc…, riscv…
    61726d* | 6d697073* | 707063* | 73333930* | 706172697363* | 7269736376*) ev_aligned=y ;;
    esac
    # What follows the time of the crash lies at 424 where words have 64 bits, else at 412: where it makes sense.
    for ev_word_size in 8 4; do
        ev_at=$(($1 + (ev_word_size == 8 ? 424 : 412)))
        ev_num $((ev_at + 4)) 4 || return
        ev_block=$ev_n
        ev_num $((ev_at + 8)) 4 || return
        ev_sub=$ev_n
        ev_num $((ev_at + 12)) 4 || return
        ev_bitmaps=$ev_n
        case $ev_block in
        4096 | 8192 | 16384 | 32768 | 65536) [ "$ev_sub" -lt 1 ] || [ "$ev_sub" -gt 1048576 ] || break ;;
        esac
        [ "$ev_word_size" -eq 8 ] || return
    done
    [ "$ev_bitmaps" -le 2147483648 ] || return
    ev_num $((ev_at + 16)) 4 || return
    ev_mapnr=$ev_n
    ev_table=$(((1 + ev_sub + ev_bitmaps) * ev_block))
}

# ev_kdump_sub SUB: the sub header lies at SUB of the file.
ev_kdump_sub() {
    if [ "$ev_word_size" -eq 8 ]; then
        set -- "$1" 12 16 24 32 40 48 56 80 88 96
    elif [ -n "$ev_aligned" ]; then
        set -- "$1" 8 12 16 24 32 40 48 72 80 88
    else
        set -- "$1" 8 12 16 20 28 32 40 56 64 72
    fi
    ev_split=0 ev_info=0 ev_info_size=0 ev_note=0 ev_note_size=0 ev_start=0 ev_end=0
    if [ "$ev_version" -ge 2 ]; then
        ev_num $(($1 + $2)) 4 && ev_split=$ev_n
        ev_num $(($1 + $3)) "$ev_word_size" && ev_start=$ev_n
        ev_num $(($1 + $4)) "$ev_word_size" && ev_end=$ev_n
    fi
    if [ "$ev_version" -ge 3 ]; then
        ev_num $(($1 + $5)) 8 && ev_info=$ev_n
        ev_num $(($1 + $6)) "$ev_word_size" && ev_info_size=$ev_n
    fi
    if [ "$ev_version" -ge 4 ]; then
        ev_num $(($1 + $7)) 8 && ev_note=$ev_n
        ev_num $(($1 + $8)) "$ev_word_size" && ev_note_size=$ev_n
    fi
    if [ "$ev_version" -ge 6 ]; then
        ev_num $(($1 + $9)) 8 && ev_start=$ev_n
        ev_num $(($1 + ${10})) 8 && ev_end=$ev_n
        ev_num $(($1 + ${11})) 8 && ev_mapnr=$ev_n
    fi
    [ "$ev_info_size" -le 16384 ] || ev_info_size=16384
}

# ev_pages FIRST: sets ev_total from the first descriptor, which points to FIRST: page data begin right after the table.
ev_pages() {
    ev_total=0
    for ev_zero in 0 "$ev_block"; do
        ev_room=$(($1 - ev_zero - ev_table))
        if [ "$ev_room" -gt 0 ] && [ $((ev_room % 24)) -eq 0 ] && [ $((ev_room / 24)) -le "$ev_mapnr" ]; then
            ev_total=$((ev_room / 24))
            return
        fi
    done
    return 1
}

ev_kdump() {
    ev_kdump_header 0 || return 0
    ev_put "$ev_block" 104
    ev_kdump_sub "$ev_block"
    if [ "$ev_info" -gt 0 ] && [ "$ev_info_size" -gt 0 ]; then
        ev_put "$ev_info" "$ev_info_size"
    elif [ "$ev_note" -gt 0 ] && [ "$ev_note_size" -gt 0 ]; then
        ev_notes "$ev_note" "$ev_note_size" 564d434f5245494e464f
    fi
    ev_put "$ev_table" 24
    ev_num "$ev_table" 8 || return 0
    ev_first=$ev_n
    [ "$ev_split" -eq 0 ] || ev_bits "$ev_start" "$ev_end"
    if [ "$ev_first" -le 0 ]; then
        [ "$ev_split" -eq 0 ] || ev_bits 0 "$ev_mapnr"
        return 0
    fi
    if ! ev_pages "$ev_first"; then
        ev_bits 0 "$ev_mapnr"
        return 0
    fi
    [ "$ev_size" -ge $((ev_table + 24 * ev_total)) ] || return 0
    ev_written=$ev_total
    ev_descriptor $((ev_total - 1))
    if [ "$ev_split" -ne 0 ] || [ "$ev_blank" = y ]; then
        ev_low=1
        ev_high=$ev_total
        while [ "$ev_low" -lt "$ev_high" ]; do
            ev_middle=$(((ev_low + ev_high + 1) / 2))
            ev_descriptor $((ev_middle - 1))
            if [ "$ev_blank" = y ]; then ev_high=$((ev_middle - 1)); else ev_low=$ev_middle; fi
        done
        ev_written=$ev_low
    fi
    ev_from=$((ev_written > 128 ? ev_written - 128 : 0))
    ev_window "$ev_from" $((ev_written - ev_from))
    ev_shared=$((ev_table + 24 * ev_total + ev_block))
    if [ "$ev_window_end" -le "$ev_shared" ] && [ "$ev_from" -gt 0 ]; then ev_last_data; fi
    for ev_share in 0 1 2 3 4 5; do
        ev_descriptor $(((ev_written - 1) * ev_share / 5))
        if [ "$ev_share" -eq 5 ] && [ "$ev_length" -gt 0 ] && [ "$ev_length" -le 4096 ]; then
            ev_put "$ev_where" "$ev_length" # all of the last page
        elif [ "$ev_flags" -ne 0 ] && [ "$ev_length" -gt 0 ] && [ "$ev_length" -le "$ev_block" ]; then
            ev_put "$ev_where" $((ev_length < 16 ? ev_length : 16))
            ev_put $((ev_where + (ev_length > 4 ? ev_length - 4 : 0))) $((ev_length < 4 ? ev_length : 4))
        elif [ "$ev_share" -eq 5 ] && [ "$ev_flags" -eq 0 ]; then
            ev_put "$ev_where" 4096 # of the last page, if it is not compressed: whether it is zeros
        fi
    done
}

# ev_descriptor INDEX: print one page descriptor; sets ev_where, ev_length, ev_flags, and ev_blank where never written.
ev_descriptor() {
    ev_here=$((ev_table + 24 * $1))
    ev_put "$ev_here" 24
    ev_where=0 ev_length=0 ev_flags=0 ev_blank=
    if [ "${#ev_raw}" -eq 48 ]; then
        ev_rest=${ev_raw#????????????????}
        ev_value "${ev_raw%"$ev_rest"}" && ev_where=$ev_n
        ev_rest_of=${ev_rest#????????}
        ev_value "${ev_rest%"$ev_rest_of"}" && ev_length=$ev_n
        ev_value "${ev_rest_of%"${ev_rest_of#????????}"}" && ev_flags=$ev_n
    fi
    [ "$ev_where" -ne 0 ] || [ "$ev_length" -ne 0 ] || ev_blank=y
}

# ev_window INDEX COUNT: print page descriptors; sets ev_window_end to where the last of their data end.
ev_window() {
    ev_put $((ev_table + 24 * $1)) $((24 * $2))
    # shellcheck disable=SC2046  # the words are meant
    set -- $(ev_words $((ev_table + 24 * $1)) $((24 * $2)))
    ev_window_end=0
    while [ "$#" -ge 24 ]; do
        if [ "$ev_order" = big ]; then
            ev_digits=$1$2$3$4$5$6$7$8
            ev_sum=${9}${10}${11}${12}
        else
            ev_digits=$8$7$6$5$4$3$2$1
            ev_sum=${12}${11}${10}${9}
        fi
        case $ev_digits in
        [89a-f]*) ;;
        *)
            ev_sum=$((0x$ev_digits + 0x$ev_sum))
            [ "$ev_sum" -le "$ev_window_end" ] || ev_window_end=$ev_sum
            ;;
        esac
        shift 24
    done
}

# ev_last_data: the last pages are all the one page of zeros; look for the last one that is not.
ev_last_data() {
    ev_low=0
    ev_high=$ev_from
    ev_distance=16
    while [ "$ev_distance" -lt "$ev_from" ]; do
        ev_window $((ev_from - ev_distance)) 16
        if [ "$ev_window_end" -gt "$ev_shared" ]; then
            ev_low=$((ev_from - ev_distance))
            break
        fi
        ev_high=$((ev_from - ev_distance))
        ev_distance=$((2 * ev_distance))
    done
    [ "$ev_low" -gt 0 ] || ev_window 0 16
    while [ $((ev_high - ev_low)) -gt 16 ]; do
        ev_middle=$(((ev_low + ev_high) / 2))
        ev_window "$ev_middle" 16
        if [ "$ev_window_end" -gt "$ev_shared" ]; then ev_low=$ev_middle; else ev_high=$ev_middle; fi
    done
}

# ev_bits START END: the second bitmap for these page frames, where it is small.
ev_bits() {
    ev_to=$(($2 < ev_mapnr ? $2 : ev_mapnr))
    [ "$1" -lt "$ev_to" ] || return 0
    ev_bytes=$(((ev_to + 7) / 8 - $1 / 8))
    [ "$ev_bytes" -le 8192 ] || return 0
    ev_put $(((1 + ev_sub + ev_bitmaps / 2) * ev_block + $1 / 8)) "$ev_bytes"
}

# ev_notes OFFSET LENGTH OWNER: walk ELF notes, print their heads, and of the notes of OWNER (hexadecimal) what they say.
ev_notes() {
    ev_note=$1
    ev_note_end=$(($1 + $2 < ev_size ? $1 + $2 : ev_size))
    ev_owner=$3
    ev_found=
    ev_walked=0
    while [ "$ev_walked" -lt 64 ] && [ $((ev_note + 12)) -le "$ev_note_end" ]; do
        ev_walked=$((ev_walked + 1))
        ev_put "$ev_note" 20
        ev_hex "$ev_note" 20
        ev_same=$ev_raw
        ev_num "$ev_note" 4 || return 0
        ev_name=$ev_n
        ev_num $((ev_note + 4)) 4 || return 0
        ev_desc=$ev_n
        # not a limit in bytes: a driver's dump of its device comes before VMCOREINFO and may have many megabytes
        [ "$ev_name" -le 256 ] && [ "$ev_desc" -le $((ev_note_end - ev_note)) ] && [ $((ev_name + ev_desc)) -gt 0 ] || return 0
        ev_hex $((ev_note + 12)) $((ev_name > 0 ? ev_name : 1))
        ev_who=$ev_raw
        [ "$ev_name" -le 8 ] || ev_put $((ev_note + 12)) "$ev_name"
        ev_body=$((ev_note + 12 + (ev_name + 3) / 4 * 4))
        case $ev_who in
        "$ev_owner"*)
            ev_found=y
            ev_put "$ev_body" $((ev_desc < 16384 ? ev_desc : 16384))
            [ "$ev_owner" = 474e55 ] || return 0
            ;;
        esac
        ev_stride=$((12 + (ev_name + 3) / 4 * 4 + (ev_desc + 3) / 4 * 4))
        case $ev_who in
        434f5245*) # a run of NT_PRSTATUS, one per CPU: all of one size
            ev_jump=8192
            ev_run=0
            while [ "$ev_jump" -gt 0 ]; do
                ev_next=$((ev_note + (ev_run + ev_jump) * ev_stride))
                if [ $((ev_next + 20)) -le "$ev_note_end" ]; then
                    ev_put "$ev_next" 20
                    ev_hex "$ev_next" 20
                    [ "$ev_raw" != "$ev_same" ] || ev_run=$((ev_run + ev_jump))
                fi
                ev_jump=$((ev_jump / 2))
            done
            ev_note=$((ev_note + ev_run * ev_stride))
            ;;
        esac
        ev_note=$((ev_note + ev_stride))
    done
}

# ev_elf_header HEAD: the ELF header lies at HEAD of the file.
ev_elf_header() {
    ev_hex $(($1 + 4)) 2
    ev_order=little
    case $ev_raw in
    ??02) ev_order=big ;;
    esac
    case $ev_raw in
    02*)
        ev_word_size=8 ev_phdr=56 ev_shdr=64 ev_head=64
        set -- "$1" 32 40 56 60 62
        ;;
    01*)
        ev_word_size=4 ev_phdr=32 ev_shdr=40 ev_head=52
        set -- "$1" 28 32 44 48 50
        ;;
    *) return 1 ;;
    esac
    ev_num $(($1 + $2)) "$ev_word_size" || return
    ev_phoff=$ev_n
    ev_num $(($1 + $3)) "$ev_word_size" || return
    ev_shoff=$ev_n
    ev_num $(($1 + $4)) 2 || return
    ev_phnum=$ev_n
    ev_num $(($1 + $5)) 2 || return
    ev_shnum=$ev_n
    ev_num $(($1 + $6)) 2 || return
    ev_shstrndx=$ev_n
}

# ev_segment_notes COUNT OWNER: the notes of the PT_NOTE segments among the first COUNT, until OWNER's is found.
ev_segment_notes() {
    ev_index=0
    ev_found=
    while [ "$ev_index" -lt "$1" ] && [ "$ev_index" -lt "$ev_phnum" ] && [ -z "$ev_found" ]; do
        ev_here=$((ev_phoff + ev_phdr * ev_index))
        ev_index=$((ev_index + 1))
        ev_num "$ev_here" 4 || return 0
        [ "$ev_n" -eq 4 ] || continue
        ev_num $((ev_here + (ev_word_size == 8 ? 8 : 4))) "$ev_word_size" || return 0
        ev_at=$ev_n
        ev_num $((ev_here + (ev_word_size == 8 ? 32 : 16))) "$ev_word_size" || return 0
        ev_notes "$ev_at" "$ev_n" "$2"
    done
}

ev_elf() {
    ev_elf_header 0 || return 0
    if [ "$ev_phnum" -eq 65535 ]; then
        ev_put "$ev_shoff" "$ev_shdr"
        ev_num $((ev_shoff + (ev_word_size == 8 ? 44 : 28))) 4 || return 0
        ev_phnum=$ev_n
    fi
    if [ "$ev_phnum" -le 256 ]; then
        ev_put "$ev_phoff" $((ev_phdr * ev_phnum))
    else
        ev_put "$ev_phoff" $((ev_phdr * 128))
        ev_put $((ev_phoff + ev_phdr * (ev_phnum - 128))) $((ev_phdr * 128))
    fi
    ev_segment_notes 4 564d434f5245494e464f
    ev_index=0
    while [ "$ev_index" -lt 16 ]; do # whether it ends in zeros
        ev_put $((ev_size - 65536 * ev_index - 64)) 64
        case $ev_raw in
        *[!0]*) return 0 ;;
        esac
        ev_index=$((ev_index + 1))
    done
}

# The flattened format: records of {i64 offset, i64 size, bytes}, big-endian, from 4096 on.
ev_flattened() {
    ev_records=
    ev_next_record=4096
    ev_steps=0
    ev_find 0 || return 0
    ev_put "$ev_pos" $((ev_avail < 512 ? ev_avail : 512))
    ev_head_pos=$ev_pos
    ev_hex "$ev_pos" 8
    case $ev_raw in
    4b44554d50202020) ev_flattened_kdump ;;
    7f454c46*) ev_flattened_elf ;;
    esac
    ev_put $((ev_size - 16384 > 4096 ? ev_size - 16384 : 4096)) 16384
}

ev_flattened_kdump() {
    ev_kdump_header "$ev_head_pos" || return 0
    ev_find "$ev_block" || return 0
    ev_put "$ev_pos" $((ev_avail < 104 ? ev_avail : 104))
    ev_kdump_sub "$ev_pos"
    if [ "$ev_info" -gt 0 ] && [ "$ev_info_size" -gt 0 ] && ev_find "$ev_info"; then
        ev_put "$ev_pos" $((ev_avail < ev_info_size ? ev_avail : ev_info_size))
    fi
    if ev_find "$ev_table"; then ev_put "$ev_pos" $((ev_avail < 24 ? ev_avail : 24)); fi
}

ev_flattened_elf() {
    ev_elf_header "$ev_head_pos" || return 0
    ev_extra=0
    if [ "$ev_phnum" -eq 65535 ]; then
        ev_find "$ev_shoff" || return 0
        ev_put "$ev_pos" $((ev_avail < ev_shdr ? ev_avail : ev_shdr))
        ev_num $((ev_pos + (ev_word_size == 8 ? 44 : 28))) 4 || return 0
        ev_phnum=$ev_n
        ev_extra=$ev_shdr
    fi
    # The last record is memory, mostly of whole pages: print the header that would be before 1 to 16 of them.
    for ev_page in 65536 4096; do
        ev_index=16
        while [ "$ev_index" -gt 0 ]; do
            ev_here=$((ev_size - 16 - ev_index * ev_page - 16))
            [ "$ev_here" -lt 4096 ] || ev_put "$ev_here" 16
            ev_index=$((ev_index - 1))
        done
    done
    ev_find $((ev_head + ev_phdr * ev_phnum + ev_extra)) || return 0
    ev_notes "$ev_pos" "$ev_avail" 564d434f5245494e464f
}

# ev_find OFFSET: sets ev_pos to where in the file this offset of the dump inside lies, and ev_avail to how many bytes
# its record has from there on; fails where no record of it is found.
ev_find() {
    ev_target=$1
    while :; do
        ev_pos=
        # shellcheck disable=SC2086  # triples: offset size position
        set -- $ev_records
        while [ "$#" -ge 3 ]; do
            if [ "$1" -le "$ev_target" ] && [ "$ev_target" -lt $(($1 + $2)) ]; then
                ev_pos=$(($3 + ev_target - $1))
                ev_avail=$(($1 + $2 - ev_target))
            fi
            shift 3
        done
        [ -z "$ev_pos" ] || return 0
        ev_walk || return
    done
}

# ev_walk: take in the next record; past many of one size at once, where the header predicted from them is there.
ev_walk() {
    if [ "$ev_steps" -ge 2 ] && [ "$ev_before_size" -eq "$ev_last_size" ] &&
        [ $((ev_before + ev_before_size)) -eq "$ev_last" ] && [ "$ev_last" -lt "$ev_target" ]; then
        ev_jump=$(((ev_target - ev_last) / ev_last_size))
        while [ "$ev_jump" -gt 1 ]; do
            ev_there=$((ev_last_pos - 16 + ev_jump * (16 + ev_last_size)))
            if [ $((ev_there + 16)) -le "$ev_size" ]; then
                ev_record "$ev_there" || return
                if [ "$ev_rec_size" -gt 0 ] && [ "$ev_rec" -eq $((ev_last + ev_jump * ev_last_size)) ]; then
                    ev_next_record=$ev_there
                    break
                fi
            fi
            ev_jump=$((ev_jump / 2))
        done
    fi
    ev_record "$ev_next_record" || return
    [ "$ev_rec" -ge 0 ] && [ "$ev_rec_size" -gt 0 ] || return
    [ $((ev_next_record + 16 + ev_rec_size)) -le "$ev_size" ] || return
    ev_before=${ev_last:-0}
    ev_before_size=${ev_last_size:-0}
    ev_last=$ev_rec
    ev_last_size=$ev_rec_size
    ev_last_pos=$((ev_next_record + 16))
    ev_records="$ev_records $ev_rec $ev_rec_size $ev_last_pos"
    ev_next_record=$((ev_last_pos + ev_rec_size))
}

# ev_record POSITION: print a record header; sets ev_rec and ev_rec_size (-1 for what is none).
ev_record() {
    ev_steps=$((ev_steps + 1))
    [ "$ev_steps" -le 200 ] || return
    ev_put "$1" 16
    ev_rec=-1 ev_rec_size=-1
    if [ "${#ev_raw}" -eq 32 ]; then
        ev_order_inside=$ev_order
        ev_order=big
        ev_value "${ev_raw%????????????????}" && ev_rec=$ev_n
        ev_value "${ev_raw#????????????????}" && ev_rec_size=$ev_n
        ev_order=$ev_order_inside
    fi
    [ "$ev_rec_size" -le 1099511627776 ] || ev_rec_size=-1
}

# ev_rodata TABLE NAMES: "OFFSET SIZE" of .rodata, by the section headers and their names (hexadecimal); nothing where there is none.
ev_rodata() {
    printf '%s\n' "$1" "$2" | awk -v entry="$ev_shdr" -v wide="$ev_word_size" -v order="$ev_order" '
        function number(text, at, length_, i, sum) { # of so many bytes, at a byte of this hexadecimal text
            sum = 0
            for (i = 0; i < length_; i++)
                sum = sum * 256 + byte(text, at + (order == "big" ? i : length_ - 1 - i))
            return sum
        }
        function byte(text, at) {
            return index(digits, substr(text, 2 * at + 1, 1)) * 16 + index(digits, substr(text, 2 * at + 2, 1)) - 17
        }
        BEGIN { digits = "0123456789abcdef" }
        NR == 1 { table = $0 }
        NR == 2 {
            for (at = 0; 2 * (at + entry) <= length(table); at += entry)
                if (substr($0, 2 * number(table, at, 4) + 1, 16) == "2e726f6461746100") {
                    printf "%.0f %.0f\n", number(table, at + (wide == 8 ? 24 : 16), wide), number(table, at + (wide == 8 ? 32 : 20), wide)
                    exit
                }
        }'
}

# ev_banners: of the bytes of a vmlinux the words in which it names its build, by lines. A modern kernel has two, both in
# .rodata (right after .text), of which the first is not whole.
ev_banners() {
    head -c 67108864 | grep -aoE -m 2 'Linux version [0-9][ -~]{8,400}' | head -n 2 | sed 's/^/banner /'
}

# ev_compressed NAME: a compressed vmlinux, of which only the front can be had: its ELF header, its notes and its banners.
ev_compressed() {
    command -v "$1" >/dev/null 2>&1 || return 0
    ev_put $((ev_size > 640 ? ev_size - 16 : 0)) 16
    ev_inside=$1
    ev_size=268435456 # no further than this
    printf 'inside %s\n' "$1"
    ev_put 0 640
    if [ -z "$ev_raw" ]; then
        ev_said=$(ev_undone 2>&1 >/dev/null | head -n 2 | tr '\n' ' ')
        printf 'complaint %s\n' "${ev_said:-it is empty}"
        return 0
    fi
    ev_hex 0 4
    [ "$ev_raw" = 7f454c46 ] && ev_elf_header 0 || return 0
    if [ "$1" = zstd ]; then # it goes from block to block, and undoes none
        if ev_said=$(zstd -lq -- "$ev_file" 2>&1 >/dev/null); then
            echo listed
        else
            printf 'listed %s\n' "$(printf '%s\n' "${ev_said:-it does not say why}" | head -n 1)"
        fi
    fi
    ev_undone 2>/dev/null | ev_banners
    [ "$ev_phoff" -eq "$ev_head" ] && [ "$ev_phnum" -le 10 ] || return 0 # then they are in what was just printed
    ev_index=0
    while [ "$ev_index" -lt "$ev_phnum" ]; do
        ev_here=$((ev_phoff + ev_phdr * ev_index))
        ev_index=$((ev_index + 1))
        ev_num "$ev_here" 4 || return 0
        [ "$ev_n" -eq 4 ] || continue
        ev_num $((ev_here + (ev_word_size == 8 ? 8 : 4))) "$ev_word_size" || return 0
        ev_at=$ev_n
        ev_num $((ev_here + (ev_word_size == 8 ? 32 : 16))) "$ev_word_size" || return 0
        ev_put "$ev_at" $((ev_n < 4096 ? ev_n : 4096))
    done
}

ev_vmlinux() {
    ev_put 0 640
    ev_hex 0 4
    case $ev_raw in
    1f8b*) ev_compressed gzip ;;
    fd377a58) ev_compressed xz ;;
    28b52ffd) ev_compressed zstd ;;
    esac
    [ -z "$ev_inside" ] || return 0
    [ "$ev_raw" = 7f454c46 ] && ev_elf_header 0 || return 0
    if [ "$ev_phnum" -gt 0 ] && [ "$ev_phnum" -le 64 ]; then
        ev_put "$ev_phoff" $((ev_phdr * ev_phnum))
        ev_segment_notes 64 474e55
    fi
    [ "$ev_shoff" -gt 0 ] && [ "$ev_shnum" -gt 0 ] && [ "$ev_shnum" -le 160 ] || return 0
    ev_put "$ev_shoff" $((ev_shdr * ev_shnum))
    ev_sections=$ev_raw
    if [ "$ev_word_size" -eq 8 ]; then set -- 24 32; else set -- 16 20; fi
    ev_here=$((ev_shoff + ev_shdr * ev_shstrndx))
    if ev_num $((ev_here + $1)) "$ev_word_size"; then
        ev_at=$ev_n
        ev_num $((ev_here + $2)) "$ev_word_size" && ev_put "$ev_at" $((ev_n < 65536 ? ev_n : 65536))
        ev_at=$(ev_rodata "$ev_sections" "$ev_raw")
        [ -z "$ev_at" ] || tail -c "+$((${ev_at% *} + 1))" "$ev_file" 2>/dev/null | head -c "${ev_at#* }" | ev_banners
    fi
    ev_index=0
    while [ "$ev_index" -lt "$ev_shnum" ] && [ -z "$ev_found" ]; do
        ev_here=$((ev_shoff + ev_shdr * ev_index))
        ev_index=$((ev_index + 1))
        ev_num $((ev_here + 4)) 4 || return 0
        [ "$ev_n" -eq 7 ] || continue
        ev_num $((ev_here + $1)) "$ev_word_size" || return 0
        ev_at=$ev_n
        ev_num $((ev_here + $2)) "$ev_word_size" || return 0
        ev_notes "$ev_at" "$ev_n" 474e55
    done
}
