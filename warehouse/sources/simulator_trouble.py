"""How does a reply go wrong? Answers given too early, and connections that break in the middle of one.

Invariant: the bytes of a broken reply are those of the good one, up to where it breaks. Partners: `faults.py`, which
plans the trouble, and `simulator.py`, which asks here for every reply.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Sequence

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from warehouse.sources import simulator_wire as wire
from warehouse.sources.faults import Fault

N_PIECES = 10
# Linger on, zero seconds: closing the socket then sends a reset instead of a goodbye.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


async def early_answer(hits: Sequence[Fault]) -> Response | None:
    """What is answered before the question is even looked at, after waiting where a delay is planned."""
    for fault in hits:
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
    for fault in hits:
        if fault.kind == "status":
            page = wire.GATEWAY_PAGE.format(f"{fault.status}").encode()
            headers = {"Retry-After": f"{fault.seconds:g}"} if fault.status == 429 else {}
            return Response(page, status_code=fault.status, media_type="text/html", headers=headers)
        if fault.kind == "html_200":
            return Response(wire.HTML_PAGE, media_type="text/html")
        if fault.kind == "reset":
            return _BrokenReply(b"", fault)
    return None


def broken(reply: Response, hits: Sequence[Fault]) -> Response:
    """The reply, or one that breaks where a fault says so."""
    for fault in hits:
        if fault.kind in ("truncate", "short_length", "chunk_cut", "trickle"):
            return _BrokenReply(bytes(reply.body), fault)
    return reply


class _BrokenReply(Response):
    """A reply whose connection misbehaves; writes to the socket, because no ASGI server lets one lie about lengths."""

    def __init__(self, whole: bytes, fault: Fault) -> None:
        super().__init__(whole, media_type="application/octet-stream")
        self._fault = fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport: asyncio.Transport = scope["state"]["transport"]
        whole, kind = bytes(self.body), self._fault.kind
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
        cut = whole[: self._fault.cut_at]
        if kind == "reset":
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            transport.abort()
        elif kind == "truncate":
            transport.write(head + b"\r\n" + cut)
        elif kind == "short_length":
            transport.write(head + b"Content-Length: %d\r\n\r\n" % len(whole) + cut)
        elif kind == "chunk_cut":
            transport.write(head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(whole) + cut)
        else:
            await self._trickle(transport, head, whole)
        transport.close()
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _trickle(self, transport: asyncio.Transport, head: bytes, whole: bytes) -> None:
        transport.write(head + b"Content-Length: %d\r\n\r\n" % len(whole))
        step = max(1, -(-len(whole) // N_PIECES))
        for start in range(0, len(whole), step):
            await asyncio.sleep(self._fault.seconds)
            if transport.is_closing():
                return
            transport.write(whole[start : start + step])
