"""What stands in ``--hosts`` is refused by file, line and sentence before anybody is asked, or means one host."""

import pytest

from kdump.host_specs import BadHosts, check, specs

KNOWN = ("db1", "root@db1", "db1:2222", "[fe80::1%eth0]:22", "ssh://ops@10.0.0.1:22?sudo=true", "paramiko://a_b-c.example.org")


@pytest.mark.parametrize("text", KNOWN)
def test_what_is_a_host(tmp_path, text):
    (spec,) = specs(text, tmp_path)
    check(spec)


@pytest.mark.hostility(22)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("db1:ssh", "--hosts: 'db1:***' has a port that is not a number from 1 to 65535"),
        ("root:se,cret@db1", "--hosts: 'root:***' has a port that is not a number from 1 to 65535"),
        ("db1:", "(empty)"),
        ("db1:65536", "not a number from 1 to 65535"),
        ("ssh://db1:0", "not a number from 1 to 65535"),
        ("fe80::1", "write an IPv6 address in brackets"),
        ("[fe80::zz]:22", "has an IPv6 address that does not exist (fe80::zz)"),
        ("10.0.0.300", "has an IPv4 address that does not exist"),
        ("root@", "names no host"),
        ("@db1@db2", "no such file"),
        ("ssh://", "names no host"),
        ("ssh://@db1", "names no user"),
        ("-oProxyCommand=x", "is not a host name"),
        ("db1?sudo=true", "has options, which need a scheme"),
        ("ssh://db1?sudoo=true", "has the unknown option 'sudoo'"),
        ("ssh://db1?sudo=yes", "gives the option sudo something other than true or false"),
        ("ssh://db1?sudo=true&sudo=false", "something other than true or false"),
        ("ssh://db1?sudo_user=", "gives the option sudo_user something other than a value"),
        ("ssh://db1?timeout=soon", "something other than a number of seconds"),
        ("SSH://db1", "has its scheme in capitals: write ssh://"),
        ("local://db1", "names a host, but local:// is this machine"),
        ("ansible://web?timeout=3", "has the unknown option 'timeout'"),
    ],
)
def test_what_is_none(tmp_path, text, words):
    with pytest.raises(BadHosts) as caught:
        for spec in specs(text, tmp_path):
            check(spec)
    assert words.lower() in str(caught.value).lower()


@pytest.mark.hostility(22)
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a\n\nb:ssh\n", "fleet:3: 'b:***' has a port"),
        (b"a\nb\n# c\na\n", "fleet:4: 'a' is named twice, before in fleet:1"),
        (b"a\nroot:canary@b\n", "fleet:2: a host spec holds a password"),
        (b"a\n\xff\xfe\n", "fleet:2: is not UTF-8 text"),
        (b"# nobody\n", "the file names no host"),
    ],
)
def test_a_file_is_refused_by_its_line(tmp_path, content, words):
    tmp_path.joinpath("fleet").write_bytes(content)
    with pytest.raises(BadHosts) as caught:
        for spec in specs("@fleet", tmp_path):
            check(spec)
    assert words in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_file_with_a_byte_order_mark_and_carriage_returns(tmp_path):
    tmp_path.joinpath("fleet").write_bytes(b"\xef\xbb\xbfa\r\nb  # the second\r\n")
    assert [(spec.text, spec.origin) for spec in specs("@fleet", tmp_path)] == [
        ("a", "--hosts: fleet:1"),
        ("b", "--hosts: fleet:2"),
    ]


@pytest.mark.hostility(22)
def test_an_endless_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("kdump.host_specs._MOST_BYTES", 1 << 20)
    with pytest.raises(BadHosts, match="larger than 1 MiB: this is no list of hosts"):
        specs("@/dev/zero", tmp_path)


@pytest.mark.hostility(21)
@pytest.mark.parametrize(
    "line",
    [
        "ssh://db1?password=canary",
        "db1 ansible_ssh_pass=canary",
        'db1 ansible_password="canary x"',
        "db1 ansible_password = canary",
    ],
)
def test_a_refused_line_shows_no_password(tmp_path, measured, line):
    tmp_path.joinpath("list").write_text(line)
    with pytest.raises(BadHosts) as refused:
        for spec in specs("@list", tmp_path):
            check(spec)
    assert "list:1" in str(refused.value) and "canary" not in str(refused.value)
    measured(str(refused.value), "")
