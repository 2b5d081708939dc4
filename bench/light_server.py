"""An SSH server that costs little: it answers every command with a recorded transcript, so that the client is the limit.

`python bench/light_server.py HOST_KEY AUTHORIZED_KEYS TRANSCRIPT LATENCY PROBE_SECONDS`, prints its port. It listens on all
loopback addresses; addresses from 127.9.0.0 on accept connections and stay silent. LATENCY is one round trip, in seconds, by
a relay in front of it.
"""

from __future__ import annotations

import asyncio
import re
import sys

import asyncssh


async def serve(host_key: str, authorized: str, transcript: str, latency: float, probe: float) -> None:
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
        process.stdout.write(answer)
        process.exit(0)

    server = await asyncssh.listen(
        "0.0.0.0",  # noqa: S104  # all of 127.0.0.0/8
        0,
        server_host_keys=[host_key],
        authorized_client_keys=authorized,
        process_factory=handle,
        encoding=None,
        backlog=4096,
    )
    port = server.sockets[0].getsockname()[1]

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name: str = writer.get_extra_info("sockname")[0]
        if name.startswith("127.9."):
            await asyncio.sleep(3600)
        back, forth = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, forth), pump(back, writer))

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        try:
            while data := await reader.read(65536):
                loop.call_later(latency / 2, writer.write, data)
        except OSError:
            pass
        loop.call_later(latency / 2, writer.close)

    front = await asyncio.start_server(relay, "0.0.0.0", 0, backlog=4096)  # noqa: S104
    print(port, front.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:4], *map(float, sys.argv[4:6])))  # type: ignore[arg-type]
