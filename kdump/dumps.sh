# POSIX sh. Where dumps go, which ones lie there, and what lies beside them.

# kdump_conf NAMES: the last value of an option of /etc/kdump.conf (kdump-lib-initramfs.sh, kdump_get_conf_val).
kdump_conf() {
    there /etc/kdump.conf || { [ $? -eq 1 ]; return; }
    values=$(sed -n -E -e 's/#.*//' -e 's/[[:space:]]*$//' -e "s/^[[:space:]]*($1)[[:space:]]+//p" /etc/kdump.conf) || return
    [ -z "$values" ] || printf '%s\n' "$values" | sed -n -E -e 's/^"(.*)"$/\1/' -e '$p'
}

# dump_folder: the folder that the kdump userspace saves dumps in, as the running system sees it.
dump_folder() {
    kdump_userspace || return
    # shellcheck disable=SC2154  # kdump_userspace sets it
    case $userspace in
    kdumpctl)
        folder=$(kdump_conf path) || return
        device=$(kdump_conf 'ext[234]|xfs|btrfs|minix|f2fs') || return
        if [ -z "$device" ]; then # it may be given to dracut (kdump-lib-initramfs.sh, get_dracut_args_target)
            arguments=$(kdump_conf dracut_args) || return
            device=$(printf '%s\n' "$arguments" | sed -n -E "s/.*--mount[ =]+[\"']?([^ \"']+).*/\1/p")
        fi
        folder=${folder:-/var/crash}
        if [ -n "$device" ]; then # the path is relative to that file system
            mounted=$(findmnt -n -o TARGET -S "$device" | head -n 1)
            [ -n "$mounted" ] || {
                echo "the dump target $device is not mounted: its dumps cannot be seen" >&2
                return 65
            }
            folder=${mounted%/}/${folder#/}
        fi
        ;;
    kdump-tools) folder=$(setting KDUMP_COREDIR /etc/default/kdump-tools) || return ;;
    *)
        folder=$(setting KDUMP_SAVEDIR /etc/sysconfig/kdump) || return
        case $folder in
        file://*) folder=${folder#file://} ;;
        *://*)
            echo "dumps go over the network: they cannot be seen from here" >&2
            return 65
            ;;
        esac
        ;;
    esac
    folder=${folder:-/var/crash}
    case $folder in
    *[\$\`]*)
        echo "the dump folder is worked out by a shell ($folder): its value is not in the file" >&2
        return 65
        ;;
    /*) echo "$folder" ;;
    *)
        echo "the dump folder is not an absolute path: $folder" >&2
        return 65
        ;;
    esac
}

# dumps_elsewhere: where dumps go over the network, or to a device without a file system; nothing where they do not.
dumps_elsewhere() {
    kdump_userspace || return
    case $userspace in
    kdumpctl) places=$(kdump_conf 'nfs4?|ssh|raw|virtiofs') || return ;;
    kdump-tools) places=$(for name in NFS SSH FTP; do setting "$name" /etc/default/kdump-tools || exit; done) || return ;;
    *)
        places=$(setting KDUMP_SAVEDIR /etc/sysconfig/kdump) || return
        places=$(printf '%s\n' "$places" | grep '://' | grep -v '^file://' | sed 's,://[^/]*@,://,')
        ;;
    esac
    [ -z "$places" ] || printf '%s\n' "$places" | sed 's/^/elsewhere /'
}

# dump_files: what lies in the folder that is configured and in /var/crash, where dumps were saved before that was
# changed, or when the configured target failed.
#
#     folder /var/crash                            was searched, three levels deep
#     missing /srv/crash                           does not exist
#     elsewhere ops@vault:/crash                   dumps go there
#     unknown WORDS                                why not every dump was seen
#     dump SIZE MTIME PATH                         bytes; seconds since the epoch
#     text SIZE MTIME PATH                         what tools write beside dumps
dump_files() {
    if [ -n "${known_dump_files-}" ]; then
        printf '%s\n' "$known_dump_files"
        return
    fi
    dumps_elsewhere || return
    if ! configured=$(dump_folder 2>&1); then
        case $configured in
        'dumps go over the network'*) ;; # said by dumps_elsewhere
        *) printf 'unknown %s\n' "$configured" ;;
        esac
        configured=/var/crash
    fi
    searched=
    for place in "$configured" /var/crash; do
        if ! [ -d "$place" ]; then
            words=$(ls -Ld -- "$place" 2>&1 >/dev/null)
            case $words in
            '') printf 'unknown %s is not a folder\n' "$place" ;;
            *'No such file or directory'*)
                if [ -L "$place" ]; then
                    printf 'unknown %s is a symbolic link that leads nowhere\n' "$place"
                elif [ "$place" = "$configured" ]; then
                    printf 'missing %s\n' "$place"
                fi
                ;;
            *) printf 'unknown %s\n' "$words" ;;
            esac
            continue
        fi
        real=$(cd -P -- "$place" && pwd)
        [ -n "$real" ] && [ "$real" = "$searched" ] && continue
        searched=$real
        printf 'folder %s\n' "$place"
        # shellcheck disable=SC2154  # probe.sh sets it
        limit 8 find -L "$place" -maxdepth 3 \
            \( -name 'vmcore*' -o -name 'dump.*' -o -name 'dump-*' -o -name dmesg -o -name 'dmesg[.-]*' \
            -o -name kexec-dmesg.log -o -name README.txt -o -name kdump_status.log \) \
            \( -path "*$line_break*" -exec echo 'unknown a file whose name has a line break was not read' \; \
            -o -type l -exec printf 'unknown %s is a symbolic link that leads nowhere\n' {} \; \
            -o -type f \( -name '*dmesg*' -o -name '*.txt' -o -name '*.log' -o -name '*.status' \) \
            -exec stat -L -c 'text %s %Y %n' {} + \
            -o -type f -exec stat -L -c 'dump %s %Y %n' {} + \) 2>/dev/null
        status=$? # tells what was complained of: the dumps that were seen are judged all the same
        case $status in
        0) ;;
        124 | 137) printf 'unknown %s could not be searched in time\n' "$place" ;;
        *) printf 'unknown not all of %s could be read: connect as root or use --sudo\n' "$place" ;;
        esac
    done
    ! there /var/lib/kdump/vmcore-creation.status || stat -c 'text %s %Y %n' /var/lib/kdump/vmcore-creation.status
}

# dump_listing: the same, bounded.
dump_listing() {
    dump_files | awk '(kept += length($0)) > 200000 { left++; next } { print }
        END { if (left) print "unknown " left " files were too many to list" }'
}

# with_newest KIND COUNT COMMAND: COMMAND on the files of that kind, the newest first. Texts of more than 8 MiB are left out.
with_newest() {
    files=$(dump_files 2>/dev/null)
    found=
    case $files in
    "$1 "* | *"
$1 "*) found=$(printf '%s\n' "$files" | newest_of "$1" "$2") ;;
    esac
    IFS='
'
    set -f
    # shellcheck disable=SC2086  # one word per line
    set -- "$3" $found
    set +f
    unset IFS
    "$@"
}

# newest_of KIND COUNT: the paths of the newest files of that kind.
newest_of() {
    awk -v kind="$1" '$1 == kind && (kind == "dump" || $2 <= 8388608) && !seen[$0]++' |
        sort -s -r -n -k 3,3 | head -n "$2" | sed 's/^[a-z]* [0-9]* -\{0,1\}[0-9]* //'
}

# dump_evidence: the bytes from which the newest dumps can be judged, see vmcore_evidence.
dump_evidence() {
    with_newest dump 32 vmcore_evidence
}

# dump_notes: what was written beside the newest dumps, as notes_of prints it.
dump_notes() {
    with_newest text 96 notes_of
}

# notes_of FILE…: what matters of these texts.
#
#     file /var/crash/202601010101/dmesg.202601010101
#     panic [   84.123456] Kernel panic - not syncing: sysrq triggered crash     of a kernel's log, the last three such lines
#     says vmcore status: saved successfully                                     of a tool's, the last forty lines
#     closed                                                                     it may not be read
#     end                                                                        nothing was cut off
notes_of() {
    count=$#
    while [ "$count" -gt 0 ]; do
        count=$((count - 1))
        file=$1
        shift
        if [ -r "$file" ]; then set -- "$@" "$file"; else printf 'file %s\nclosed\n' "$file"; fi
    done
    if [ "$#" -eq 0 ]; then
        echo end
        return
    fi
    # shellcheck disable=SC2016  # awk's own
    limit 8 awk '
        function flush(i) {
            for (i = kept > most ? kept - most + 1 : 1; i <= kept; i++) print kind, substr(lines[i % most], 1, 300)
            kept = 0
        }
        FNR == 1 {
            flush()
            print "file " FILENAME
            log_of_kernel = FILENAME ~ /\/(vmcore-)?dmesg[^\/]*$/
            kind = log_of_kernel ? "panic" : "says"
            most = log_of_kernel ? 3 : 40
        }
        log_of_kernel && !/Kernel panic - not syncing|BUG: |kernel BUG at|Unable to handle kernel|Internal error: |general protection fault|Oops|sysrq: Trigger a crash/ { next }
        FILENAME ~ /\/kexec-dmesg\.log$/ && !/kdump.*(saving|saved|failed|error)/ { next }
        { lines[++kept % most] = $0 }
        END { flush(); print "end" }' "$@" | head -c 100000
}
