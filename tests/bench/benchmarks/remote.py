"""Throughput with the database on another machine, 1 ms and 5 ms away (round trip), compared with none. relay.py is the
distance; without distance the bytes pass through it as well, so that its own cost is on both sides."""

from harness.bench import Bench, post_to
from harness.delivering import deliver
from harness.figures import Figure, at_least, of_rounds, ratios

ABOUT = "throughput with the database 1 ms and 5 ms away, compared with none"
DISTANCES = (0, 1, 5)


def run(bench: Bench) -> list[Figure]:
    calls = bench.size(20000, 4000)
    cluster = bench.cluster()
    rates: dict[int, list[float]] = {distance: [] for distance in DISTANCES}
    with bench.nginx() as nginx, cluster.database("remote") as full:
        cluster.fill(full, calls, 200, post_to(f"'{nginx.url}'"))
        for _ in bench.rounds():
            for distance, found in rates.items():
                with bench.relay(distance) as relay, cluster.database(bench.new_name("remote"), full) as database:
                    url = f"host=127.0.0.1 port={relay.port} user=postgres dbname={database} sslmode=disable"
                    found.append(deliver(bench, database, nginx, database_url=url).per_second)
    figures = [of_rounds(f"deliveries/s, {distance} ms away", rates[distance], "/s") for distance in DISTANCES]
    return figures + [
        of_rounds(f"deliveries/s, {distance} ms / none", ratios(rates[distance], rates[0]), "", at_least(0.8),
                  at_least(0.1)) for distance in DISTANCES[1:]]
