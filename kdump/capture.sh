# POSIX sh. What the capture kernel is and what its initramfs holds. Nothing is unpacked to disk: images are read as
# streams, except for a squash image inside one, for which dracut's own lsinitrd is asked.

# assignments FILE: its lines that assign to a shell variable, "NAME=…", without running that file.
assignments() {
    sed -n -e 's/^[[:space:]]*//' -e 's/^export[[:space:]]*//' -e '/^[A-Za-z_][A-Za-z0-9_]*=/p' "$1"
}

# setting NAME FILE: the last assignment of a shell variable in a file of settings.
setting() {
    there "$2" || { [ $? -eq 1 ]; return; }
    lines=$known_settings
    if [ "$2" != "$known_settings_of" ]; then lines=$(assignments "$2") || return; fi
    set -f
    # shellcheck disable=SC2154  # probe.sh sets it, and blank
    IFS=$line_break
    value=
    for line in $lines; do
        case $line in "$1="*) value=${line#*=} ;; esac
    done
    unset IFS
    set +f
    value=${value%%["$blank"]#*}
    value=${value#[\"\']}
    while :; do
        case $value in
        *[\"\'"$blank"]) value=${value%?} ;;
        *) break ;;
        esac
    done
    [ -z "$value" ] || printf '%s\n' "$value"
}

known_settings_of='' known_settings='' userspace=''

# kdump_userspace: sets "userspace" to the one that is installed.
kdump_userspace() {
    [ -z "$userspace" ] || return 0
    for installed in kdumpctl:/usr/bin/kdumpctl kdumpctl:/usr/sbin/kdumpctl kdump-tools:/usr/sbin/kdump-config \
        suse:/usr/sbin/kdumptool suse:/usr/lib/kdump/load.sh; do
        there "${installed#*:}" && userspace=${installed%%:*} && return
        [ $? -eq 1 ] || return 2
    done
    userspace=none
}

# work_out_once: what many readings need to know, so that not each of them works it out. Empty where that fails: then
# each says why.
# shellcheck disable=SC2034  # the library's other files use them
work_out_once() {
    # in a process below this one: there the guard can end it
    known=$(
        for file in /etc/default/kdump-tools /etc/sysconfig/kdump; do
            there "$file" || continue
            if known_settings=$(assignments "$file"); then known_settings_of=$file; fi
            break
        done
        kdump_userspace
        known_release=$(capture_release) || known_release=
        known_image_path=$(capture_image_path) || known_image_path=
        known_vmcoreinfo=$(kcore_vmcoreinfo) || known_vmcoreinfo=
        known_dump_files=$(dump_files 2>&1) || known_dump_files=
        case $known_dump_files in
        *find:* | *sed:* | *stat:*) known_dump_files= ;; # something was said on stderr
        esac
        # shellcheck disable=SC2154  # the script that this is part of sets it
        printf "%s$mark" "$userspace" "$known_settings_of" "$known_settings" "$known_release" "$known_image_path" \
            "$known_vmcoreinfo" "$known_dump_files"
    )
    userspace=${known%%"$mark"*} known=${known#*"$mark"}
    known_settings_of=${known%%"$mark"*} known=${known#*"$mark"}
    known_settings=${known%%"$mark"*} known=${known#*"$mark"}
    known_release=${known%%"$mark"*} known=${known#*"$mark"}
    known_image_path=${known%%"$mark"*} known=${known#*"$mark"}
    known_vmcoreinfo=${known%%"$mark"*} known=${known#*"$mark"}
    known_dump_files=${known%%"$mark"*}
}

# capture_release: the release of the kernel that the capture kernel is.
capture_release() {
    if [ -n "${known_release-}" ]; then
        echo "$known_release"
        return
    fi
    running=$(uname -r) || return
    kdump_userspace || return
    case $userspace in
    kdumpctl)
        # kdump-lib.sh, _get_kdump_kernel_version(): a debug kernel prefers its plain sister
        configured=$(setting KDUMP_KERNELVER /etc/sysconfig/kdump) || return
        plain=${running%[+-]debug}
        if [ -n "$configured" ]; then
            running=$configured
        elif [ "$plain" != "$running" ]; then
            there "/usr/lib/modules/$plain/modules.dep" && running=$plain
            [ $? -ne 2 ] || return
        fi
        ;;
    kdump-tools)
        kernel=$(setting KDUMP_KERNEL /etc/default/kdump-tools) || return
        # the default, a link, is set to the running kernel by every load (kdump-config, manage_symlinks)
        case $kernel in
        '' | /var/lib/kdump/vmlinuz) ;;
        */vmlinu[xz]-*) running=${kernel##*/vmlinu[xz]-} ;;
        *)
            echo "the release of $kernel is not in its name" >&2
            return 65
            ;;
        esac
        ;;
    suse)
        there /var/lib/kdump/kernel-version
        case $? in
        0) running=$(cat /var/lib/kdump/kernel-version) || return ;;
        1)
            configured=$(setting KDUMP_KERNELVER /etc/sysconfig/kdump) || return
            case $configured in
            /*) configured=${configured##*/vmlinu[xz]-} ;;
            esac
            running=${configured:-$running}
            ;;
        *) return 2 ;;
        esac
        ;;
    esac
    echo "$running"
}

# capture_image_path: where the kdump initramfs in use lies. Of several kinds of place the newest file wins; with none,
# the place where it is expected.
capture_image_path() {
    if [ -n "${known_image_path-}" ]; then
        echo "$known_image_path"
        return
    fi
    release=$(capture_release) || return
    kdump_userspace || return
    case $userspace in
    kdumpctl)
        expected=/boot/initramfs-${release}kdump.img
        set -- "$expected" "/var/lib/kdump/initramfs-${release}kdump.img" /boot/*/"$release"/initrdkdump \
            /boot/ostree/*/"initramfs-${release}kdump.img" "/boot/initrd-${release}kdump.img"
        ;;
    kdump-tools)
        kernel=$(setting KDUMP_KERNEL /etc/default/kdump-tools) || return
        expected=$(setting KDUMP_INITRD /etc/default/kdump-tools) || return
        # without KDUMP_KERNEL it takes what the kernel itself boots with, whatever KDUMP_INITRD says; with it, and without
        # KDUMP_INITRD, none (Debian kdump-tools 1.8.1: kdump-config, locate_kdump_kernel)
        if [ -z "$kernel" ] && there /etc/default/kdump-tools; then
            expected=/boot/initrd.img-$release
        elif [ -z "$expected" ] && there /etc/default/kdump-tools; then
            echo "KDUMP_INITRD is empty in /etc/default/kdump-tools: the capture kernel gets no initramfs" >&2
            return 65
        else
            [ -n "$expected" ] && there "$expected"
            case $? in
            0) ;;
            1) expected=/var/lib/kdump/initrd.img-$release ;;
            *) return 2 ;;
            esac
        fi
        set -- "$expected"
        ;;
    suse)
        expected=/var/lib/kdump/initrd
        set -- "$expected" "/boot/initrd-$release-kdump"
        ;;
    *)
        echo "no kdump userspace is installed" >&2
        return 65
        ;;
    esac
    newest=
    for candidate in "$@"; do
        there "$candidate" || { [ $? -eq 1 ] && continue; } || return
        if [ -z "$newest" ] || [ -n "$(find "$candidate" -newer "$newest")" ]; then newest=$candidate; fi
    done
    readlink -f "${newest:-$expected}" || echo "${newest:-$expected}"
}

# capture_image: "SIZE MTIME PATH" of the kdump initramfs in use, in bytes and seconds.
capture_image() {
    image=$(capture_image_path) && stat -L -c '%s %Y %n' "$image"
}

# on_one_cpu: keep this subshell, and what it starts, on one processor. Between two, each piece of data that goes through
# a pipe wakes the other one, which costs more than all the unpacking on an emulated machine.
on_one_cpu() {
    command -v taskset >/dev/null || return 0
    while read -r key allowed; do
        [ "$key" != Cpus_allowed_list: ] || break
    done </proc/self/status
    # the shell itself reads this: $$ would be the shell that this subshell comes from
    read -r self _ </proc/self/stat
    taskset -p -c "${allowed%%[-,]*}" "$self" >/dev/null 2>&1
}

# unpack_segment IMAGE OFFSET MAGIC: the cpio stream that begins there, decompressed. 127: no such decompressor. What
# reads it has a deadline: when that one ends, so does this.
unpack_segment() {
    case $3 in
    30373037*) set -- "$1" "$2" cat ;;
    1f8b*) set -- "$1" "$2" gzip -dc ;;
    28b52ffd*) set -- "$1" "$2" zstd -dcq ;;
    fd377a58*) set -- "$1" "$2" xz -dc ;;
    5d0000*) set -- "$1" "$2" xz -dc --format=lzma ;;
    02214c18* | 04224d18*) set -- "$1" "$2" lz4 -dc ;;
    425a68*) set -- "$1" "$2" bzip2 -dc ;;
    894c5a4f*) set -- "$1" "$2" lzop -dc ;;
    *)
        echo "$1: what begins at byte $2 is neither a cpio archive nor compressed in a known way ($3)" >&2
        return 65
        ;;
    esac
    image=$1 offset=$2
    shift 2
    if ! command -v "$1" >/dev/null; then
        echo "$1: not found" >&2
        return 127
    fi
    if [ "$1" = cat ]; then
        tail -c "+$((offset + 1))" "$image"
    elif [ "$offset" -eq 0 ]; then
        "$@" <"$image"
    else
        tail -c "+$((offset + 1))" "$image" | "$@"
    fi
}

# each_segment IMAGE FUNCTION: calls FUNCTION IMAGE OFFSET MAGIC for each archive of an initramfs. An uncompressed
# one may stand before the others (microcode, firmware): FUNCTION then sets "next" to the offset behind it.
each_segment() {
    size=$(stat -L -c %s "$1") || return
    next=0
    for round in 1 2 3 4 5 6; do
        words=$(od -An -v -tx1 -j "$next" -N 6 "$1") || return
        magic=
        for word in $words; do magic=$magic$word; done
        case $magic in
        00*)
            zeros=$(od -An -v -tx1 -j "$next" -N 65536 "$1" | awk '{ for (i = 1; i <= NF; i++) if ($i != "00") { print n + 0; exit } else n++ }')
            [ -n "$zeros" ] || return 0 # padding up to the end
            next=$((next + zeros))
            continue
            ;;
        esac
        offset=$next
        next=$size
        "$2" "$1" "$offset" "$magic" || return
        [ "$next" -lt "$size" ] || return 0
    done
    echo "$1: more than $round archives one after the other" >&2
    return 65
}

# What of a listing (cpio -tv, GNU's or busybox's; unsquashfs -ll; find -ls) decides about a dump, as "KIND SIZE PATH";
# with KIND "file" also the sizes of everything, plain and rounded up to pages, and where the archive ends.
# shellcheck disable=SC2016
listing_filter='
    function up(n, to) { return int((n + to - 1) / to) * to }
    $1 == "status" { status = $2; next }
    $1 == "unpacked" { unpacked = $2; next }
    $1 == "rest" { rest = $2; next }
    kind == "squashed" && $3 ~ /^[-dlbcps][-r]/ { sub(/^ *[0-9]+ +[0-9]+ +/, "") }
    $1 !~ /^[-dlbcps][-r][-w]/ { next }
    {
        fields = 8; bytes = $5
        if ($2 ~ /\//) { fields = kind == "squashed" ? 5 : 5; bytes = $3 }
        if ($1 ~ /^[bc]/) { fields++; bytes = 0 }
        name = $0
        for (i = 0; i < fields; i++) sub(/^[^ ]+ +/, "", name)
        if ($1 ~ /^l/) sub(/ -> .*/, "", name)
        at = up(up(at + 110 + length(name) + 1, 4) + bytes, 4)
        entries++
    }
    $1 ~ /^-/ {
        if (kind == "file") { total += bytes; paged += up(bytes, page) }
        sub(/^\.?\//, "", name); sub(/^(squashfs|erofs)-root\//, "", name)
        if (name ~ wanted && ++kept <= 6000) print kind, bytes, name
        if (kept == 6001) { print "cut"; kept++ }
    }
    END {
        if (kind == "file") {
            print "total", total + 0, paged + 0, entries + 0
            print "next", up(at + 124, 4)
            if (rest) print "more"; else if (unpacked) print "unknown"
        }
        exit status
    }'
listing_wanted='[.]ko([.](xz|gz|zst))?$|(-|squash/)root[.]img$|(^|/)(makedumpfile|vmcore-dmesg|kdump|kdump[.]sh|kdump-save|kdump[.]conf|busybox|systemd|dropbear|ssh|scp|lftp|mount[.]nfs4?|mount[.]cifs|cryptsetup|systemd-cryptsetup|integritysetup|systemd-integritysetup|lvm|multipathd?|mdadm|ipmitool|build-parameter[.]txt|modules[.]builtin|modules[.]dep)$|etc/(cmdline[.]d|modprobe[.]d|modules-load[.]d|conf[.]d|fstab|resolv[.]conf|hosts$|ssh/ssh_known)|root/[.]ssh/'

# list_archive MAGIC OPTION…: the first archive on stdin, and how many bytes of the stream were left behind it.
list_archive() {
    magic=$1
    shift
    limit 15 cpio -tv --quiet "$@"
    echo "status $?"
    case $magic in
    30373037*) ;; # what follows is looked at where it lies
    *) echo "rest $(wc -c)" ;;
    esac
}

# list_segment IMAGE OFFSET MAGIC [SKIP]: its listing, from a byte of what is unpacked on. The kernel unpacks whatever follows
# in the same stream, and in further ones: each archive in one stream is listed, and of anything else it is said that it is there.
# First "magic MAGIC", which tells how that stream is compressed.
list_segment() {
    [ "${4-0}" -ne 0 ] || echo "magic $3"
    case ${known_vmcoreinfo-} in
    *PAGESIZE=*) page=${known_vmcoreinfo#*PAGESIZE=} page=${page%%"$line_break"*} ;;
    *) page=$(getconf PAGESIZE || echo 4096) ;;
    esac
    for pieces in '-C 65536' ''; do # GNU cpio reads 512 bytes at a time unless it is told; busybox's cannot be told
        # shellcheck disable=SC2086  # its words are meant
        listing=$(
            {
                # cpio writes its listing in blocks that end within a line: nothing may be said between two of them
                unpacked=$(
                    {
                        {
                            on_one_cpu
                            unpack_segment "$1" "$2" "$3"
                            echo "unpacked $?" >&6
                        } | if [ "${4-0}" -eq 0 ]; then
                            list_archive "$3" $pieces
                        else
                            tail -c "+$(($4 + 1))" | list_archive "$3" $pieces
                        fi >&7
                    } 6>&1
                )
                echo "$unpacked"
            } 7>&1 | awk -v kind=file -v page="$page" -v wanted="$listing_wanted" "$listing_filter"
        )
        status=$?
        [ "$status" -eq 1 ] || break
    done
    printf '%s' "${listing%next *}"
    [ "$status" -eq 0 ] || return "$status"
    case $3 in
    30373037*) # what lies behind it may be more than was read: the stream then ended early, which is no trouble here
        length=${listing##*next }
        next=$(($2 + ${length%%"$line_break"*}))
        ;;
    *) case $listing in
        *"$line_break"more)
            length=${listing##*next }
            list_segment "$1" "$2" "$3" "$((${4-0} + (${length%more} + 511) / 512 * 512))"
            return
            ;;
        *"$line_break"unknown)
            # zeros behind a compressed archive are no more than padding; a plain archive ends in some, too
            case $(tail -c 8 "$1" | od -An -v -tx1)$(tail -c 66000 "$1" | grep -aoF -m 1 'TRAILER!!!') in
            *[1-9a-fT]*)
                echo "$1: behind the archive at byte $2 lies something that is not compressed like it" >&2
                return 65
                ;;
            esac
            ;;
        esac ;;
    esac
}

# capture_image_listing: "image SIZE MTIME PATH", then what is in it: see listing_filter. "squashed unlisted" when it
# holds a squash image that nothing here can look into, "squashed late" when that took too long.
capture_image_listing() {
    image=$(capture_image_path) || return
    stat -L -c 'image %s %Y %n' "$image" || return
    if ! command -v cpio >/dev/null; then
        echo "cpio: not found" >&2
        return 127
    fi
    contents=$(each_segment "$image" list_segment)
    status=$?
    printf '%s\n' "$contents"
    [ "$status" -eq 0 ] || return "$status"
    case $contents in
    *root.img*)
        squashed=$(
            {
                limit 15 lsinitrd "$image" 2>/dev/null
                printf 'Squashed content ends\nstatus %s\n' "$?"
            } | sed -n '/^Squashed content/,$p' | awk -v kind=squashed -v wanted="$listing_wanted" "$listing_filter"
        )
        case $? in
        124 | 137) echo "squashed late" ;; # what it had said by then is no list
        *) printf '%s\n' "${squashed:-squashed unlisted}" ;;
        esac
        ;;
    esac
}

text_segment() {
    texts=$(on_one_cpu; unpack_segment "$1" "$2" "$3" |
        limit 15 cpio -i --to-stdout --quiet '*dracut/build-parameter.txt' 'etc/cmdline.d/*' etc/kdump.conf)
    status=$?
    [ -z "$texts" ] || printf '%.20000s\n' "$texts"
    [ "$status" -eq 0 ] || return "$status"
    case $3 in
    30373037*) list_segment "$1" "$2" "$3" >/dev/null ;;
    esac
}

# capture_image_texts: the lines of dracut's build-parameter.txt, etc/cmdline.d/* and etc/kdump.conf of the image, as
# far as they do not lie in a squash image inside it (dracut keeps build-parameter.txt outside). Nothing where there is
# no dracut: other images have none of them.
capture_image_texts() {
    command -v dracut >/dev/null || command -v lsinitrd >/dev/null || return 0
    image=$(capture_image_path) || return
    [ -e "$image" ] || { stat -L "$image" && return 65; } || return
    if ! command -v cpio >/dev/null; then
        echo "cpio: not found" >&2
        return 127
    fi
    each_segment "$image" text_segment
}

# capture_kexec_cmd: the kexec command of kdump-tools' last successful load (kdump-config, kdump_load()).
capture_kexec_cmd() {
    folder=$(setting KDUMP_COREDIR /etc/default/kdump-tools) || return
    cat "${folder:-/var/crash}/kexec_cmd"
}
