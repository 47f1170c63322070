"""A connection to PostgreSQL, with the standard library only: the simple query protocol over a Unix socket, for a user
who is trusted. psql cannot say when a COMMIT returned, nor hold a transaction open between two steps."""

import socket
import struct
from pathlib import Path

Row = tuple[str | None, ...]


class QueryFailed(Exception):
    """The server refused a statement; the text has its message."""


class Session:
    """One thread at a time."""

    def __init__(self, folder: Path, database: str, name: str = "bench"):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(folder / ".s.PGSQL.5432"))
        self._input = self._socket.makefile("rb")
        self.pid = 0
        words = ["user", "postgres", "database", database, "application_name", name]
        body = struct.pack("!i", 196608) + b"".join(word.encode() + b"\0" for word in words) + b"\0"
        self._socket.sendall(struct.pack("!i", len(body) + 4) + body)
        self._answer()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._input.close()
        self._socket.close()

    def query(self, sql: str) -> list[Row]:
        """The rows of all its statements, as text."""
        body = sql.encode() + b"\0"
        self._socket.sendall(b"Q" + struct.pack("!i", len(body) + 4) + body)
        return self._answer()

    def value(self, sql: str) -> str:
        """The only column of the only row."""
        ((value,),) = self.query(sql)
        if value is None:
            raise QueryFailed(f"NULL from: {sql}")
        return value

    def number(self, sql: str) -> float:
        return float(self.value(sql))

    def _answer(self) -> list[Row]:
        rows: list[Row] = []
        failed = None
        while True:
            kind, body = self._message()
            if kind == b"D":
                rows.append(_columns(body))
            elif kind == b"E":
                failed = " ".join(part[1:].decode(errors="replace") for part in body.split(b"\0")
                                  if part[:1] in (b"C", b"M"))
            elif kind == b"K":
                self.pid = struct.unpack("!i", body[:4])[0]
            elif kind == b"Z":
                break
        if failed:
            raise QueryFailed(failed)
        return rows

    def _message(self) -> tuple[bytes, bytes]:
        head = self._input.read(5)
        if len(head) < 5:
            raise ConnectionError("the server closed the connection")
        return head[:1], self._input.read(struct.unpack("!i", head[1:])[0] - 4)


def _columns(body: bytes) -> Row:
    (count,), position = struct.unpack_from("!h", body), 2
    columns: list[str | None] = []
    for _ in range(count):
        (length,) = struct.unpack_from("!i", body, position)
        position += 4
        if length < 0:
            columns.append(None)
            continue
        columns.append(body[position:position + length].decode())
        position += length
    return tuple(columns)
