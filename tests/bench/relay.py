"""A distance to the database: takes TCP connections on loopback and passes all bytes on to a Unix socket and back, each
after half of the round trip.

    relay.py --to SOCKET --round-trip-ms N

It prints `port=N` when it listens. It is used because many kernels (of virtual machines and containers) lack netem, and
because it needs no rights. One thread; select() waits with microseconds, which asyncio does not.
"""

import argparse
import heapq
import itertools
import select
import socket
import time

Pending = tuple[float, int, socket.socket, bytes]


def close_both(pair: dict[socket.socket, socket.socket], end: socket.socket) -> None:
    other = pair.pop(end, None)
    if other:
        pair.pop(other, None)
        other.close()
    end.close()


def relay(listener: socket.socket, to: str, delay: float) -> None:
    pair: dict[socket.socket, socket.socket] = {}
    ended: set[socket.socket] = set()  # read to their end; the other side gets to know later
    pending: list[Pending] = []
    order = itertools.count()  # bytes that come together leave in the order in which they came
    while True:
        wait = max(0.0, pending[0][0] - time.monotonic()) if pending else None
        ready, _, _ = select.select([listener, *(pair.keys() - ended)], [], [], wait)
        for end in ready:
            if end is listener:
                near, _ = listener.accept()
                near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                far = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                far.connect(to)
                pair[near], pair[far] = far, near
            elif end in pair:
                try:
                    data = end.recv(1 << 18)
                except ConnectionError:
                    data = b""
                heapq.heappush(pending, (time.monotonic() + delay, next(order), end, data))
                if not data:
                    ended.add(end)
        now = time.monotonic()
        while pending and pending[0][0] <= now:
            _, _, end, data = heapq.heappop(pending)
            if end not in pair:
                continue
            try:
                if not data:
                    raise ConnectionError
                pair[end].sendall(data)
            except ConnectionError:
                ended -= {end, pair[end]}
                close_both(pair, end)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--to", required=True)
    parser.add_argument("--round-trip-ms", type=float, required=True)
    words = parser.parse_args()
    made = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(f"port={made.getsockname()[1]}", flush=True)
    relay(made, words.to, words.round_trip_ms / 2000)
