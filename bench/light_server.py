"""An SSH server that costs little: it answers every command with a recorded transcript, so that the client is the limit.

`python bench/light_server.py HOST_KEY AUTHORIZED_KEYS TRANSCRIPT PROBE_SECONDS`, prints its port. It listens on all loopback
addresses, each of which is a host with a root filesystem of its own, so that no two hosts say the same.
"""

from __future__ import annotations

import asyncio
import re
import sys

import asyncssh

ROOT_UUID = re.compile(rb"(?<=root=UUID=)[0-9a-f-]{36}")


def as_host(transcript: bytes, address: str) -> bytes:
    """The transcript as the host with this address would give it."""
    own = "-".join(f"{int(part):04x}" for part in address.split("."))
    for uuid in set(ROOT_UUID.findall(transcript)):
        transcript = transcript.replace(uuid, uuid[: -len(own)] + own.encode())
    return transcript


async def serve(host_key: str, authorized: str, transcript: str, probe: float) -> None:
    with open(transcript, "rb") as file:
        answer = file.read()

    async def handle(process: asyncssh.SSHServerProcess[bytes]) -> None:
        command = (process.command or "").encode()
        for mark, stream in ((rb"kdump-shell-\w+", process.stderr), (rb"kdump-start-\w+", process.stdout)):
            if found := re.search(mark, command):
                stream.write(found[0] + b"\n")
        if b"kdump-start" in command:  # a plain command's client does not end its input
            await process.stdin.read()
        await asyncio.sleep(probe)
        process.stdout.write(as_host(answer, process.get_extra_info("sockname")[0]))
        process.stdout.write_eof()  # as sshd does; without it, did the connection die?
        process.exit(0)

    listening = await asyncssh.listen(
        "0.0.0.0",  # noqa: S104  # all of 127.0.0.0/8
        0,
        server_host_keys=[host_key],
        authorized_client_keys=authorized,
        process_factory=handle,
        encoding=None,
        backlog=4096,
    )
    print(listening.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:4], float(sys.argv[4])))
