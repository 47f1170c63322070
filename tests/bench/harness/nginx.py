"""The endpoint that answers every POST with 200 at once: an nginx of our own on a free port."""

import http.client
import random
import time
from pathlib import Path

from harness.processes import Child, children_of, cpu_seconds

_LOCATIONS = """
    allow 127.0.0.0/8;
    deny all;
    location = /status {
      stub_status;
    }
    location / {
      default_type application/json;
      return 200 '{"received":true}';
    }"""


class Nginx:
    """`servers` has more `server` blocks, in which @PORT@ is the port. With `every_host` it answers on all of
    127.0.0.0/8."""

    def __init__(self, config: Path, folder: Path, every_host: bool = False, connections: int = 8192,
                 servers: str = ""):
        self._folder = folder
        folder.mkdir()
        # nginx cannot report which port it got, so this tries ports until one is free.
        for _ in range(20):
            self.port = random.randint(20000, 30000)
            listen = f"{'0.0.0.0' if every_host else '127.0.0.1'}:{self.port} backlog=4096"
            server = f"server {{\n    listen {listen};\n    keepalive_timeout 75s;{_LOCATIONS}\n  }}\n"
            text = config.read_text().replace("@SERVERS@", server + servers).replace("@PORT@", str(self.port))
            text = text.replace("@CONNECTIONS@", str(connections)).replace("@FILES@", str(2 * connections + 100))
            (folder / "nginx.conf").write_text(text)
            self._child = Child(["nginx", "-p", str(folder), "-c", "nginx.conf"], folder / "log")
            if self._answers():
                return
            self._child.stop()
        raise RuntimeError(f"nginx does not start: {self._child.tail()}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/post-call"

    def stop(self) -> None:
        self._child.stop()

    def requests(self) -> int:
        """How many requests it has seen, without those of this function."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", "/status")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        self._own += 1
        return int(lines[2].split()[2]) - self._own

    def cpu(self) -> float:
        return sum(cpu_seconds(pid) for pid in [self._child.pid, *children_of(self._child.pid)])

    def _answers(self) -> bool:
        self._own = 0
        for _ in range(100):
            if self._child.has_ended():
                return False
            # The file is ours: if another nginx had the port, ours would have ended.
            if (self._folder / "nginx.pid").exists() and (self._folder / "nginx.pid").stat().st_size > 0:
                try:
                    self.requests()
                    return True
                except OSError:
                    self._own = 0
            time.sleep(0.05)
        return False
