"""The same number of calls, of 16,000 agents and of 200, all on one host: CPU per delivery must not grow with the
number of agents."""

from harness.bench import Bench, post_to
from harness.delivering import Delivered, deliver
from harness.figures import Figure, at_most, of_rounds, ratios

ABOUT = "CPU per delivery with 16,000 agents, compared with 200"


def run(bench: Bench) -> list[Figure]:
    calls, many, few = bench.size(32000, 6000), bench.size(16000, 4000), 200
    cluster = bench.cluster()
    runs: dict[int, list[Delivered]] = {many: [], few: []}
    with bench.nginx() as nginx, cluster.database("agents_many") as full_many, \
            cluster.database("agents_few") as full_few:
        for name, agents in ((full_many, many), (full_few, few)):
            cluster.fill(name, calls, agents, post_to(f"'{nginx.url}'"), details=False)
        for _ in bench.rounds():
            for full, agents in ((full_many, many), (full_few, few)):
                with cluster.database(bench.new_name("agents"), full) as database:
                    runs[agents].append(deliver(bench, database, nginx))
    claim = {agents: [run.session_us["claim"] for run in of] for agents, of in runs.items()}
    process = {agents: [run.dispatcher_us for run in of] for agents, of in runs.items()}
    return [
        of_rounds(f"CPU, claim session, {many:,} agents", claim[many], "us/delivery"),
        of_rounds(f"CPU, claim session, {few} agents", claim[few], "us/delivery"),
        of_rounds("CPU, claim session, many / few", ratios(claim[many], claim[few]), "", at_most(1.15), at_most(4)),
        of_rounds(f"CPU, dispatcher, {many:,} agents", process[many], "us/delivery"),
        of_rounds(f"CPU, dispatcher, {few} agents", process[few], "us/delivery"),
        of_rounds("CPU, dispatcher, many / few", ratios(process[many], process[few]), "", at_most(1.15), at_most(3)),
        of_rounds("deliveries/s, many / few",
                  ratios([run.per_second for run in runs[many]], [run.per_second for run in runs[few]])),
    ]
