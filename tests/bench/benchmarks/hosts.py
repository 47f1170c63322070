"""One call for each of 16,384 hosts on 127.x.y.z, so that each needs a connection of its own, compared with the same
number of calls for one host."""

from harness.bench import Bench, host_of, post_to
from harness.delivering import Delivered, deliver
from harness.figures import Figure, at_most, of_rounds, ratios

ABOUT = "CPU per delivery to 16,384 hosts, compared with one"


def run(bench: Bench) -> list[Figure]:
    hosts = bench.size(16384, 3000)
    cluster = bench.cluster()
    many: list[Delivered] = []
    one: list[Delivered] = []
    with bench.nginx(every_host=True, connections=20000) as nginx, cluster.database("hosts_many") as full_many, \
            cluster.database("hosts_one") as full_one:
        url = f"format('http://%s:{nginx.port}/post-call', {host_of('n - 1')})"
        cluster.fill(full_many, hosts, hosts, post_to(url))
        cluster.fill(full_one, hosts, hosts, post_to(f"'{nginx.url}'"))
        for _ in bench.rounds():
            for full, runs in ((full_many, many), (full_one, one)):
                with cluster.database(bench.new_name("hosts"), full) as database:
                    runs.append(deliver(bench, database, nginx))
    process = [[run.dispatcher_us for run in runs] for runs in (many, one)]
    both = [[run.dispatcher_us + run.postgres_us for run in runs] for runs in (many, one)]
    return [
        of_rounds(f"CPU, dispatcher, {hosts:,} hosts", process[0], "us/delivery"),
        of_rounds("CPU, dispatcher, one host", process[1], "us/delivery"),
        of_rounds("CPU, dispatcher and its sessions, many / one", ratios(*both), "", at_most(1.6), at_most(5)),
        of_rounds("CPU, dispatcher, many / one", ratios(*process)),
    ]
