"""Which dumps are seen on a host: the probe's shell in folders that somebody made to fool it."""

import gzip
import os
import subprocess
import time

import pytest

from kdump.probe import library
from kdump.verdict import Verdict
from selftests.judging import ask, host, says
from selftests.vmcore.writer import kdump

FILE = "vmcore_damaged"
PREFIX = "dump_folder() { printf '%s\\n' \"$place_for_dumps\"; }; dumps_elsewhere() { :; }"
SHELLS = (("dash",), ("busybox", "sh"))


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[0])
def look(request, tmp_path):
    """What is said of the dumps in a folder, after something was run with the probe's functions."""

    def looked(folder, test="dumps_are_complete"):
        readings = []
        for fact in ("dump_listing", "stored_dumps", "dump_notes"):
            command = says(fact).command
            # The machine that runs this may have dumps of its own.
            script = f"{library()}\n{PREFIX}\n{command}".replace("/var/crash; do", '"$place_for_dumps"; do')
            script = script.replace("/var/lib/kdump/", f"{tmp_path}/none/")
            done = subprocess.run(
                [*request.param, "-c", script],
                env={"PATH": os.environ["PATH"], "LC_ALL": "C", "place_for_dumps": str(folder)},
                capture_output=True,
                timeout=60,
            )
            assert done.returncode == 0, done.stderr
            readings.append(says(fact, done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")))
        return ask(host(*readings), FILE, test)

    return looked


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "var crash"
    made.mkdir()
    return made


def put(folder, name, data, age=3600):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_nothing(look, folder, tmp_path):
    assert look(folder)[0] is Verdict.NOT_APPLICABLE
    assert "does not exist yet" in look(tmp_path / "missing")[1]


@pytest.mark.parametrize(
    "name",
    ["202601010101/dump.202601010101", "127.0.0.1-2026-01-01-01:01:01/vmcore", "a b/vmcore", "*/vmcore", "[a]/vmcore.flat",
     "-rf/vmcore", "vmcore\x1b[2J", "vmcore\udcff", "vmcore\u2028x", "$(reboot)/vmcore", "a/b/dump-incomplete"],
)  # fmt: skip
def test_odd_names_are_read(look, folder, name):
    path = put(folder, name, b"")
    assert look(folder)[0] is Verdict.PRESENT
    path.write_bytes(kdump())
    assert look(folder)[0] is Verdict.ABSENT


def test_a_line_break_in_a_name_is_not_passed_over(look, folder):
    put(folder, "2026/vmcore\ndump 5 5 /var/crash/x", b"")
    assert look(folder)[0] is Verdict.UNDETERMINED


def test_links(look, folder, tmp_path):
    elsewhere = put(tmp_path, "big/disk/core", b"")
    (folder / "vmcore").symlink_to(elsewhere)
    assert look(folder)[0] is Verdict.PRESENT
    elsewhere.unlink()
    assert look(folder)[0] is Verdict.UNDETERMINED
    (folder / "vmcore").unlink()
    (folder / "2026").symlink_to(tmp_path / "big")
    put(tmp_path, "big/vmcore", b"")
    assert look(folder)[0] is Verdict.PRESENT
    outer = tmp_path / "outer"
    outer.symlink_to(folder)
    assert look(outer)[0] is Verdict.PRESENT
    outer.unlink()
    outer.symlink_to(tmp_path / "nowhere")
    assert look(outer)[0] is Verdict.UNDETERMINED


def test_of_many_dumps_the_damaged_is_found_or_it_is_said_that_some_were_not_read(look, folder):
    for number in range(40):
        put(folder, f"{number}/vmcore", kdump(), age=number * 100 + 200)
    verdict, words = look(folder)
    assert verdict is Verdict.UNDETERMINED and "not read" in words and "(and 7 more)" in words
    put(folder, "39/vmcore", b"", age=99999)
    assert look(folder)[0] is Verdict.PRESENT


def test_thousands_of_files_are_bounded(look, folder):
    name = "x" * 150
    for number in range(1500):
        (folder / f"vmcore-{name}-{number}").touch()
    assert look(folder)[0] is Verdict.PRESENT


def test_a_dump_that_grows_is_not_accused(look, folder):
    data = kdump()
    path = put(folder, "2026/vmcore-incomplete", data[: len(data) // 2], age=0)
    with path.open("ab"):
        assert look(folder)[0] is (Verdict.UNDETERMINED if os.geteuid() == 0 else Verdict.PRESENT)
    assert look(folder)[0] is Verdict.PRESENT  # nobody writes any more


@pytest.mark.hostility(28)
@pytest.mark.parametrize("age", [-(10**6), 10**9])
def test_clocks_that_were_wrong(look, folder, age):
    put(folder, "2026/vmcore", kdump()[:-100], age=age)
    assert look(folder)[0] is Verdict.PRESENT


def test_a_partial_dmesg_beside_a_complete_dump_is_no_damage(look, folder):
    put(folder, "2026/vmcore", kdump())
    put(folder, "2026/vmcore-dmesg-incomplete.txt", b"[ 1.0] Kernel pan")
    assert look(folder)[0] is Verdict.ABSENT


@pytest.mark.hostility(30)
def test_what_is_no_file(look, folder):
    os.mkfifo(folder / "vmcore")
    (folder / "dump.d").mkdir()
    assert look(folder)[0] is Verdict.NOT_APPLICABLE


def test_compressed_as_a_whole(look, folder):
    put(folder, "2026/dump.gz", gzip.compress(kdump()))
    verdict, words = look(folder)
    assert verdict is Verdict.UNDETERMINED and "gzip" in words


@pytest.mark.parametrize(
    ("name", "text", "verdict"),
    [
        ("127.0.0.1-2026-01-01-01:01:01/vmcore-creation.status", "fail kdump_test_id=1", Verdict.PRESENT),
        ("a/vmcore-creation.status", "success kdump_test_id=1", Verdict.ABSENT),
        ("a/README.txt", "If you see this text the crash dump is likely incomplete.", Verdict.PRESENT),
        ("a/README.txt", "dmesg status: saved successfully\nvmcore status: saved successfully", Verdict.ABSENT),
        ("a/README.txt", "dmesg status: saved successfully\nvmcore status: error while saving, return code: 1", Verdict.PRESENT),
        ("a/README.txt", "vmcore status: deleted (5 < KDUMP_FREE_DISK_SIZE 64)", Verdict.PRESENT),
        ("a/README.txt", "vmcore status: skipped", Verdict.ABSENT),
        ("a/kexec-dmesg.log", "[ 9.1] kdump[600]: saving vmcore failed, exitcode:1", Verdict.PRESENT),
        ("a/kexec-dmesg.log", "[ 9.1] kdump[600]: saving vmcore complete", Verdict.ABSENT),
        ("a/kdump_status.log", "whatever", Verdict.NOT_APPLICABLE),
        ("a/dmesg", "[ 9.1] Kernel panic - not syncing: x", Verdict.NOT_APPLICABLE),
    ],
)
def test_notes(look, folder, name, text, verdict):
    put(folder, name, text.encode())
    assert look(folder, "tools_report_success")[0] is verdict
    if verdict is Verdict.PRESENT:  # the bytes know better
        put(folder, f"{name.rpartition('/')[0]}/vmcore", kdump())
        assert look(folder, "tools_report_success")[0] is Verdict.ABSENT


@pytest.mark.parametrize(
    ("files", "where"),
    [
        ({"/etc/kdump.conf": "path /srv/dumps # here"}, "/srv/dumps"),
        ({"/etc/kdump.conf": '  path   "/srv/dumps"\npath /late'}, "/late"),
        ({"/etc/kdump.conf": "#path /srv\n"}, "/var/crash"),
        ({"/etc/default/kdump-tools": 'KDUMP_COREDIR="/srv/$(hostname)"'}, "unknown"),
        ({"/etc/default/kdump-tools": "KDUMP_COREDIR=crash"}, "unknown"),
        ({"/etc/sysconfig/kdump": 'KDUMP_SAVEDIR="file:///srv/dumps"'}, "/srv/dumps"),
        ({"/etc/sysconfig/kdump": 'KDUMP_SAVEDIR="ftp://me:secret@server/x"'}, "elsewhere ftp://server/x"),
        ({"/etc/kdump.conf": "nfs server:/x\npath /crash"}, "elsewhere server:/x"),
        ({"/etc/default/kdump-tools": 'NFS=""\nSSH="ops@vault"'}, "elsewhere ops@vault"),
    ],
)
def test_where_dumps_go(tmp_path, files, where):
    root = tmp_path / "root"
    program = {"/etc/kdump.conf": "/usr/sbin/kdumpctl", "/etc/default/kdump-tools": "/usr/sbin/kdump-config"}
    for name, text in files.items():
        put(root, name[1:], text.encode())
        put(root, program.get(name, "/none")[1:], b"")
    script = library()
    for path in ("/etc/kdump.conf", "/etc/default/kdump-tools", "/etc/sysconfig/kdump", "/usr/sbin/kdumpctl",
                 "/usr/bin/kdumpctl", "/usr/sbin/kdump-config", "/var/crash", "/var/lib/kdump/"):  # fmt: skip
        script = script.replace(path, f"{root}{path}")
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    command = ["dash", "-c", f"{script}\ndump_files"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    said = done.stdout.replace(str(root), "").splitlines()
    assert "secret" not in done.stdout
    if where.startswith("/"):
        assert f"missing {where}" in said
    else:
        assert any(line.startswith(where) for line in said), said


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
@pytest.mark.parametrize(
    ("conf", "folder"),
    [
        ("", "/var/crash"),
        ("path /crash", "/crash"),
        ("ext4 UUID=ab\npath /crash", "/mnt/UUID=ab/crash"),
        ('path /crash\ndracut_args --mount "/dev/vdb /kdumproot ext4 defaults"', "/mnt//dev/vdb/crash"),
        ("dracut_args --omit-drivers 'a b' --mount='/dev/vdb /kdumproot ext4 defaults' # why", "/mnt//dev/vdb/var/crash"),
        ("dracut_args --omit-drivers 'mdio usb'", "/var/crash"),
    ],
)
def test_folder_that_kdump_conf_names(shell, conf, folder, tmp_path):
    (tmp_path / "kdump.conf").write_text(f"{conf}\n")
    script = library().replace("/usr/bin/kdumpctl", str(tmp_path)).replace("/etc/kdump.conf", f"{tmp_path}/kdump.conf")
    mounts = """findmnt() { shift 4; printf '/mnt/%s\\n' "$1"; }"""
    done = subprocess.run([*shell, "-c", f"{script}\n{mounts}\ndump_folder"], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == folder, done
