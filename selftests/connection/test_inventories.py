"""Ansible inventories by Ansible's own programs: what is selected, what is honoured on a real sshd, what is refused."""

import os
import shutil
import sys
import time
from pathlib import Path

import pytest
import sshd_bench as bench
from ssh_client import Ask, Client
from testinfra.utils.ansible_runner import AnsibleRunner

from kdump.connection import Executed
from kdump.hosts import BadHosts, Spec, targets
from kdump.inventory import Selections
from selftests.hostility.strictness import slack

pytestmark = pytest.mark.skipif(
    shutil.which("ansible", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}") is None, reason="needs Ansible"
)
LIMIT = 3.0 + slack(12.0)  # s
INI = """
[web]
web1 ansible_host=127.0.0.1 ansible_port=1
web2 ansible_host=127.0.0.2

[prod]
web1
db1 ansible_host=127.0.0.3

[site:children]
web
prod
"""
YAML = """
all:
  children:
    web: {hosts: {web1: , web2: }}
    prod: {hosts: {web1: , db1: }}
    site: {children: {web: , prod: }}
"""
DYNAMIC = """#!/bin/sh
echo '{"web": {"hosts": ["web1", "web2"]}, "prod": {"hosts": ["web1", "db1"]}, "site": {"children": ["web", "prod"]},
"_meta": {"hostvars": {}}}'
"""
FORMS = {"fleet": INI, "fleet.yml": YAML, "fleet.sh": DYNAMIC}


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder without an ansible.cfg; testinfra keeps what it read of an inventory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(AnsibleRunner, "_runners", {})


def write(name: str, text: str) -> str:
    Path(name).write_text(text)
    Path(name).chmod(0o755 if text.startswith("#!") else 0o644)
    return name


def names(inventory: str, pattern: str = "all", limit: str | None = None) -> list[str]:
    return [target.name for target in targets([Spec(f"ansible://{pattern}")], limit, ansible_inventory=inventory)]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_inventory(form: str) -> None:
    found = targets([Spec("ansible://all")], ansible_inventory=write(form, FORMS[form]))
    assert {target.name: target.groups for target in found} == {
        "web1": ("prod", "site", "web"),
        "web2": ("site", "web"),
        "db1": ("prod", "site"),
    }


@pytest.mark.parametrize(
    ("pattern", "limit", "selected"),
    [
        ("web:&prod", None, ["web1"]),
        ("all:!web", None, ["db1"]),
        ("site", "prod", ["web1", "db1"]),
        ("web[1]:~d.1", None, ["web2", "db1"]),
    ],
)
def test_patterns_are_ansibles(pattern: str, limit: str | None, selected: list[str]) -> None:
    assert names(write("fleet.ini", INI), pattern, limit) == selected


@pytest.mark.hostility(23)
@pytest.mark.parametrize(
    ("pattern", "limit", "words"),
    [
        ("nosuch", None, "'nosuch' is no host and no group of the inventory (3 hosts are known)"),
        ("all:!nosuch", None, "'nosuch' is no host and no group"),
        ("db1:&web", None, "ansible://db1:&web: no host matches (3 hosts are known)"),
    ],
)
def test_a_pattern_that_selects_nothing_is_refused(pattern: str, measured, limit: str | None, words: str) -> None:
    with pytest.raises(BadHosts) as caught:
        names(write("fleet.ini", INI), pattern, limit)
    assert words in str(caught.value)
    measured(str(caught.value), "")


@pytest.mark.hostility(22)
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.ini", None, "missing.ini: there is no such file"),
        ("binary.ini", b"\x00\x01[web\xff", "binary.ini: is not text"),
        ("head.ini", b"[web\nweb1\n", "head.ini:1: is not the head of a section: '[web'"),
        ("word.ini", b"[web]\nweb1 port\n", "word.ini:2: Expected key=value host variable assignment, got: port"),
        ("space.ini", b"w ansible_password= canary\n", "space.ini:1: Expected key=value host variable assignment, got: ***"),
        ("cycle.ini", b"[a:children]\nb\n[b:children]\na\n[a]\nx\n", "cycle.ini:4: Adding group 'a' as child to 'b'"),
        ("twice.ini", b"[web]\nweb1\nweb1 ansible_port=1\n", "twice.ini:3: the host 'web1' stands here and in line 2"),
        ("twice.json", b'{"w": {"hosts": {\n"a": {},\n"a": {}}}}', "twice.json:3: 'a' stands twice in one mapping"),
        ("port.ini", b"[web]\nweb1 ansible_port=ssh\n", "port.ini:2: host 'web1': ansible_port 'ssh' is not a number"),
        ("name.ini", b"[web]\nweb1\nw<b>x ansible_port=1\n", "name.ini:3: 'w<b>x' is not a host name"),
        ("name.yml", b"all:\n  hosts:\n    'a;b':\n", "name.yml:3: 'a;b' is not a host name"),
        ("one.ini", b"a ansible_port=1\nA ansible_port=1\n", "the host 'a' and 'A' are one"),
        ("list.json", b'\n["a",\n"b"]', "list.json:2: is a list: an inventory is a mapping of groups"),
        ("hosts.json", b'{"web":\n{"hosts": ["a", "b"]}}', "hosts.json:2: hosts of the group 'web' are no mapping"),
        ("cut.json", b'{"web": {"hosts":\n{"a": {},', "cut.json:2: While parsing"),
        ("port.json", b'{"web": {"hosts":\n{"a": {"ansible_port": "x"}}}}', "port.json:2: host 'a': ansible_port 'x'"),
        ("key.yml", b"web:\n  hosts: {a: }\n  childern: {db: }\n", "key.yml:3: the group 'web' has the key 'childern'"),
        ("both.ini", b"[b]\nb ansible_host=a\nc\n", "both.ini:2: a host and a group of others are called 'b'"),
        ("bad.yml", b"all:\n  hosts:\n    a:\n  - b\n", "bad.yml:4: While parsing a block mapping"),
        ("port.yml", b"all:\n  hosts:\n    a:\n      ansible_port: 70000\n", "port.yml:4: host 'a': ansible_port '70000'"),
        ("exit.sh", b"#!/bin/sh\necho http://u:canary@cmdb >&2\nexit 1\n", "exit code 1. (http://u:***@cmdb)"),
        ("big.ini", b"[web]\n" + b"".join(b"h%d ansible_port=1\n" % one for one in range(3000)) + b"h1 x\n", "big.ini:3002"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_by_file_and_line(name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        Path(name).write_bytes(content)
        Path(name).chmod(0o755 if content.startswith(b"#!") else 0o644)
    started = time.monotonic()
    with pytest.raises(BadHosts) as caught:
        names(f"./{name}" if content is None else str(Path(name).absolute()))
    assert time.monotonic() - started < LIMIT
    assert words in str(caught.value)
    assert not any(word in str(caught.value) for word in ("\n", "CommandResult", "canary", "other than JSON", "<class"))


def test_names_that_differ_in_case_and_address_are_hosts_of_their_own() -> None:
    assert names(write("case.ini", "[A]\nA\n[web]\na ansible_host=127.0.0.1\n")) == ["A", "a"]


def test_an_inventory_that_nothing_uses_is_refused() -> None:
    """Other hosts than those that are meant would be judged: the lab, or a machine called like a group."""
    for options in ({"ansible_inventory": "fleet.ini"}, {"limit": "web"}):
        with pytest.raises(BadHosts, match="write --hosts=ansible://"):
            targets([Spec("web")], **options)


def test_a_pattern_that_commas_took_apart_is_refused() -> None:
    """Ansible takes web,db1 for a pattern; here a machine called like the second part would be judged."""
    given = [Spec("ansible://web"), Spec("db1")]
    with pytest.raises(BadHosts, match="'db1' is a name of the inventory: write ansible:// before it, or a colon"):
        targets(given, ansible_inventory=write("fleet.ini", INI))
    assert [target.name for target in targets([given[0], Spec("other")], ansible_inventory="fleet.ini")][-1] == "other"


def test_host_variables_are_honoured(bench_client: Client, sshd: bench.Sshd, ask: Ask) -> None:
    """User, port, key and become of one host, on a real sshd."""
    key = bench_client.folder / "other"
    shutil.copy(sshd.user_key, key)
    key.chmod(0o600)
    bench_client.key = Path("nosuch")
    bench_client.configure(sshd.known_hosts(), connect_timeout=10.0)
    line = f"db1 ansible_host=127.0.0.1 ansible_port={sshd.port} ansible_user=trusted ansible_private_key_file={key}"
    write("fleet.ini", f"{line}\n[root]\ndb2 {line[4:]} ansible_become=yes\n")
    found = targets([Spec("ansible://all")], ansible_inventory="fleet.ini", ssh_config=str(bench_client.folder / "config"))
    said = {}
    for target in found:
        answer = ask(target.backend, b"id -un\n")
        assert isinstance(answer, Executed), str(answer)
        said[target.name] = answer.stdout
    assert said == {"db1": b"trusted\n", "db2": b"root\n"}


@pytest.mark.hostility(20)
def test_names_of_groups_are_shown_safely() -> None:
    """Ansible takes any; host names are checked, and groups stand in pages, too."""
    group = '"a\\e[2J\\u202e<b>": {hosts: {db1: {}}}'
    (found,) = targets([Spec("ansible://all")], ansible_inventory=write("fleet.yml", f"all: {{children: {{{group}}}}}\n"))
    assert found.groups == ("a\\x1b[2J\\u202e<b>",)


@pytest.mark.parametrize(("pattern", "asked"), [("all", 1), ("db*", 2)])
def test_an_inventory_is_read_once_and_the_waiting_is_told(pattern: str, asked: int) -> None:
    """By ansible-inventory, and at the same time by ansible, which alone knows what a pattern matches."""
    script = '#!/bin/sh\necho asked >>asked\nsleep 1.5\necho \'{"all": {"hosts": ["db1", "web1"]}, "_meta": {"hostvars": {}}}\'\n'
    inventory = str(Path(write("slow.sh", script)).absolute())
    told: list[float] = []
    found = targets([Spec(f"ansible://{pattern}")], selections=Selections(told.append), ansible_inventory=inventory)
    assert [target.name for target in found] == (["db1", "web1"] if pattern == "all" else ["db1"])
    assert Path("asked").read_text().count("asked") == asked
    assert len(told) >= 2 and told == sorted(told)


def test_a_slow_inventory_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdump.inventory.DEADLINE", 2.0)
    with pytest.raises(BadHosts, match="did not end in 2 s"):
        names(str(Path(write("slow.sh", "#!/bin/sh\nexec sleep 60\n")).absolute()))
