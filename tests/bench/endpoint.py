"""An endpoint that does what nginx cannot: it answers late, or never, or notes when each request came.

    endpoint.py [--every-host] [--delay-ms N | --never] [--arrivals FILE]

It prints `port=N` when it listens. --arrivals writes a line per request: its callId and the monotonic time in
nanoseconds when its last byte had been read. It serves loopback only.
"""

import argparse
import asyncio
import socket
import sys
import time
from typing import TextIO

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{"received":true}'


class Connection(asyncio.Protocol):
    def __init__(self, delay: float, never: bool, arrivals: TextIO | None):
        self._delay, self._never, self._arrivals = delay, never, arrivals
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not transport.get_extra_info("peername")[0].startswith("127."):
            transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (request := self._next_request()) is not None:
            if self._arrivals:
                now = time.monotonic_ns()
                call = request.split(b'"callId":"', 1)[1].split(b'"', 1)[0].decode()
                self._arrivals.write(f"{call} {now}\n")
            if self._never:
                continue
            if self._delay > 0:
                asyncio.get_running_loop().call_later(self._delay, self._transport.write, ANSWER)
            else:
                self._transport.write(ANSWER)

    def _next_request(self) -> bytes | None:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return None
        length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(rest) < length:
            return None
        self._buffer = rest[length:]
        return rest[:length]


async def serve(words: argparse.Namespace) -> None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0" if words.every_host else "127.0.0.1", 0))
    arrivals = open(words.arrivals, "a", buffering=1) if words.arrivals else None
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(words.delay_ms / 1000, words.never, arrivals), sock=listener, backlog=4096)
    print(f"port={listener.getsockname()[1]}", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--every-host", action="store_true")
    parser.add_argument("--delay-ms", type=float, default=0)
    parser.add_argument("--never", action="store_true")
    parser.add_argument("--arrivals")
    sys.exit(asyncio.run(serve(parser.parse_args())))
