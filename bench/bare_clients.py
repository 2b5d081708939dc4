"""The least that asking a fleet by SSH can cost: connect, run the probe, read its answer, close.

`python bench/bare_clients.py CLIENT HOSTS_FILE PORT KEY PROBE`; CLIENT: asyncssh, paramiko, or libssh2, which is compiled. Host
keys are not looked at, ssh_config is not read, nothing is made of the answers but that they are whole.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

COMMAND = "/bin/sh -c 'echo kdump-start-bare; exec /bin/sh -s'"
AT_ONCE = 100
PATIENCE = 60.0  # s


def by_asyncssh(addresses: list[str], port: int, key: str, sent: bytes) -> None:
    import asyncssh

    private, gate = asyncssh.read_private_key(key), asyncio.Semaphore(AT_ONCE)

    async def ask(address: str) -> None:
        options = {"username": "root", "client_keys": [private], "known_hosts": None, "config": None}
        async with gate, asyncssh.connect(address, port, **options) as link:
            done = await link.run(COMMAND, input=sent, encoding=None)
            _check(done.stdout)

    async def everyone() -> None:
        await asyncio.gather(*map(ask, addresses))

    asyncio.run(everyone())


def by_paramiko(addresses: list[str], port: int, key: str, sent: bytes) -> None:
    import paramiko

    private = paramiko.PKey.from_path(key)

    def ask(address: str) -> None:
        transport = paramiko.Transport(_dial(address, port))
        try:
            transport.connect(username="root", pkey=private)
            channel = transport.open_session(timeout=PATIENCE)
            channel.exec_command(COMMAND)
            channel.sendall(sent)
            channel.shutdown_write()
            _check(channel.makefile("rb").read())
        finally:
            transport.close()

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(ask, addresses))


def by_libssh2(addresses: list[str], port: int, key: str, sent: bytes) -> None:
    from ssh2.session import Session  # type: ignore[import-not-found]

    def ask(address: str) -> None:
        sock = _dial(address, port)
        session = Session()
        session.set_timeout(int(1000 * PATIENCE))
        session.handshake(sock)
        session.userauth_publickey_fromfile("root", key)
        channel = session.open_session()
        channel.execute(COMMAND)
        channel.write(sent)
        channel.send_eof()
        parts = []
        while (part := channel.read(65536))[0] > 0:
            parts.append(part[1])
        _check(b"".join(parts))
        channel.close()
        session.disconnect()
        sock.close()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(ask, addresses))


CLIENTS = {"asyncssh": by_asyncssh, "paramiko": by_paramiko, "libssh2": by_libssh2}


def _dial(address: str, port: int) -> socket.socket:
    sock = socket.create_connection((address, port), PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _check(answer: object) -> None:
    if not isinstance(answer, bytes) or not answer.rstrip().endswith(b"# end"):
        raise SystemExit(f"the answer is not whole: {str(answer)[-100:]}")


def main() -> None:
    client, hosts, port, key, probe = sys.argv[1:6]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    CLIENTS[client](Path(hosts).read_text().split(), int(port), key, Path(probe).read_bytes())


if __name__ == "__main__":
    main()
