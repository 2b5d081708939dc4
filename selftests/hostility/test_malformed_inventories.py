"""The suite's own command on inventories that cannot be used: the sentence, the exit status, and how soon they are there."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from selftests.hostility.strictness import REAL, slack

ROOT = Path(__file__).parents[2]
LIST, INVENTORY = "--hosts=@{}", "--hosts=ansible://all --ansible-inventory={}"
MALFORMED = [
    ("a large list", LIST, b"".join(b"h%d.example.org\n" % number for number in range(550_000)) + b"bad host\n", "list:550001: "),
    ("one long line", LIST, b"a" * 10_000_000, "list:1: "),
    ("a binary", LIST, bytes(range(256)) * 100, "list:2: is not UTF-8 text"),
    ("a cycle", INVENTORY, b"[a:children]\nb\n[b:children]\na\n[a]\nx\n", "list:4: "),
    ("a script that fails", INVENTORY, b"#!/bin/sh\necho no token >&2\nexit 1\n", "no token"),
    ("a script without JSON", INVENTORY, b"#!/bin/sh\necho hello\n", "JSON"),
    ("missing", LIST, None, "list: the file cannot be read: No such file"),
    ("empty", LIST, b"", "names no host"),
    ("missing, Ansible's", INVENTORY, None, "list: there is no such file"),
    ("empty, Ansible's", INVENTORY, b"", "no host matches (0 hosts are known)"),
    ("a duplicate", LIST, b"\xef\xbb\xbfdb1\r\ndb1\r\n", "list:2: 'db1' is named twice"),
    ("a bad port", INVENTORY, b"[web]\nweb1 ansible_port=ssh\n", "list:2: host 'web1': ansible_port 'ssh'"),
    ("a bad address", LIST, b"[fe80::zz]:22\n", "list:1: "),
    ("a byte order mark", INVENTORY, b"\xef\xbb\xbf[web]\r\nweb1\r\n", "list:1: "),
    ("an unknown group", INVENTORY.replace("all", "nosuch"), b"[web]\nweb1\n", "'nosuch' is no host and no group"),
]


@pytest.mark.hostility(22)
@pytest.mark.parametrize(
    ("how", "content", "words"), [pytest.param(*case, id=name) for name, *case in MALFORMED][: None if REAL else 6]
)
def test_ends_in_time_with_one_sentence(tmp_path, measured, how, content, words):
    path = tmp_path / "list"
    if content is not None:
        path.write_bytes(content)
        path.chmod(0o755 if content.startswith(b"#!") else 0o644)
    command = [
        sys.executable,
        "-m",
        "pytest",
        f"--rootdir={ROOT}",
        f"-c{ROOT}/pytest.ini",
        "-p",
        "no:cacheprovider",
        f"{ROOT}/tests",
    ]
    command += how.format(path).split(" ")
    began = time.monotonic()
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "COLUMNS": "100"}, capture_output=True, text=True, timeout=60)
    took = time.monotonic() - began
    said = done.stdout + done.stderr
    assert done.returncode == 4, said
    assert words in said
    assert "Traceback" not in said and len(said) < 2000
    assert took < 3 + slack(12.0)
    sentence = next(line for line in said.splitlines() if line.startswith("ERROR: "))
    measured(sentence.removeprefix("ERROR: ").replace(str(path), "list")[:120], f"{took:.1f} s")
