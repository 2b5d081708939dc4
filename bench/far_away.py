"""A relay that puts a server of this machine at a distance.

`python bench/far_away.py PORT SECONDS` prints its own port: whoever connects there, on any loopback address, is connected to
PORT on the same address, and what either side sends arrives half a round trip of SECONDS later. Addresses from 127.9.0.0 on
accept connections and stay silent, as dead hosts behind a firewall do.
"""

from __future__ import annotations

import asyncio
import sys

DEAD = "127.9."


class Half(asyncio.Protocol):
    """One side of a connection; what it receives, its peer sends later."""

    def __init__(self, delay: float, peer: Half | None = None) -> None:
        self.delay, self.peer = delay, peer
        self.transport: asyncio.Transport | None = None
        self.early: list[bytes] = []  # received before there was a peer
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self.peer is not None:
            for data in self.peer.early:
                transport.write(data)
            self.peer.peer = self

    def data_received(self, data: bytes) -> None:
        if self.peer is None or self.peer.transport is None:
            self.early.append(data)
        else:
            self.loop.call_later(self.delay, self.peer.transport.write, data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.loop.call_later(self.delay, self.peer.transport.close)


class Front(Half):
    """The side of who connects."""

    def __init__(self, delay: float, port: int) -> None:
        super().__init__(delay)
        self.port = port
        self.dialling: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        address: str = transport.get_extra_info("sockname")[0]
        if not address.startswith(DEAD):
            self.dialling = self.loop.create_task(self.dial(address))

    async def dial(self, address: str) -> None:
        await asyncio.sleep(self.delay)
        await self.loop.create_connection(lambda: Half(self.delay, self), address, self.port)


async def relay(port: int, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Front(seconds / 2, port), "0.0.0.0", 0, backlog=4096)  # noqa: S104
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(relay(int(sys.argv[1]), float(sys.argv[2])))
