"""A dispatcher's /metrics, and what its histograms say about the time between two looks."""

import http.client
from dataclasses import dataclass


@dataclass(frozen=True)
class Histogram:
    bounds: tuple[float, ...]
    counts: tuple[float, ...]  # cumulative, as Prometheus has them
    total: float
    count: float

    def since(self, before: "Histogram") -> "Histogram":
        return Histogram(self.bounds, tuple(a - b for a, b in zip(self.counts, before.counts, strict=True)),
                         self.total - before.total, self.count - before.count)

    def mean(self) -> float:
        return self.total / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """Linear within the bucket, as Prometheus' histogram_quantile; no more exact than the buckets."""
        wanted, below, floor = share * self.count, 0.0, 0.0
        for bound, count in zip(self.bounds, self.counts, strict=True):
            if count >= wanted:
                if bound == float("inf"):
                    return floor
                return floor + (bound - floor) * (wanted - below) / max(count - below, 1e-9)
            below, floor = count, bound
        return floor


class Metrics:
    """One look."""

    def __init__(self, address: str):
        host, port = address.rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        connection.request("GET", "/metrics")
        self._lines = [line for line in connection.getresponse().read().decode().splitlines() if line[:1] != "#"]
        connection.close()

    def value(self, name: str) -> float:
        """The sum over its labels."""
        return sum(float(line.rsplit(" ", 1)[1]) for line in self._lines if line.startswith((name + " ", name + "{")))

    def histogram(self, name: str) -> Histogram:
        """Of a histogram without other labels than le."""
        bounds, counts = [], []
        for line in self._lines:
            if line.startswith(name + '_bucket{le="'):
                bound, count = line.split('"')[1], line.rsplit(" ", 1)[1]
                bounds.append(float(bound))
                counts.append(float(count))
        return Histogram(tuple(bounds), tuple(counts), self.value(name + "_sum"), self.value(name + "_count"))
