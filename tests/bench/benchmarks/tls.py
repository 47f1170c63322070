"""https to 1,000 hosts on 127.x.y.z; the endpoint closes each connection after its answer, so each POST has a handshake
of its own. In turns with it, bare_loop does the same with the same TLS settings."""

from harness.bare import Posted, post_all
from harness.bench import Bench, post_to
from harness.certificates import Authority
from harness.delivering import Delivered, deliver
from harness.figures import Figure, at_most, of_rounds, ratios

ABOUT = "CPU of a delivery with a new TLS connection, compared with a plain libcurl loop"
PER_CERTIFICATE = 100  # so that a certificate stays small


def run(bench: Bench) -> list[Figure]:
    hosts = bench.size(1000, 500)
    calls = bench.size(5000, 1000)
    cluster = bench.cluster()
    authority = Authority(bench.folder / bench.new_name("certificates"))
    addresses = [f"127.0.{1 + n // PER_CERTIFICATE}.{1 + n % PER_CERTIFICATE}" for n in range(hosts)]
    ours: list[Delivered] = []
    bare: list[Posted] = []
    with bench.nginx(servers=_servers(authority, addresses)) as nginx, cluster.database("tls") as full:
        host = f"format('127.0.%s.%s', 1 + (n - 1) / {PER_CERTIFICATE}, 1 + (n - 1) % {PER_CERTIFICATE})"
        cluster.fill(full, calls, hosts, post_to(f"format('https://%s:{nginx.port}/post-call', {host})"))
        bodies, urls = bench.folder / "bodies", bench.folder / "urls"
        cluster.bodies(full, bodies)
        urls.write_text("".join(f"https://{address}:{nginx.port}/post-call\n" for address in addresses))
        for _ in bench.rounds():
            with cluster.database(bench.new_name("tls"), full) as database:
                bare.append(post_all(bench, bodies, "--urls", str(urls), "--ca-file", str(authority.file)))
                ours.append(deliver(bench, database, nginx, f"--ca-file={authority.file}"))
    return [
        of_rounds("CPU, dispatcher", [run.dispatcher_us for run in ours], "us/delivery"),
        of_rounds("CPU, bare loop", [run.cpu_us for run in bare], "us/delivery"),
        of_rounds("CPU, dispatcher / bare loop",
                  ratios([run.dispatcher_us for run in ours], [run.cpu_us for run in bare]), "", at_most(1.15),
                  at_most(2.5)),
        of_rounds("deliveries/s", [run.per_second for run in ours], "/s"),
        of_rounds("deliveries/s, bare loop", [run.per_second for run in bare], "/s"),
    ]


def _servers(authority: Authority, addresses: list[str]) -> str:
    blocks = []
    for first in range(0, len(addresses), PER_CERTIFICATE):
        some = addresses[first:first + PER_CERTIFICATE]
        certificate, key = authority.issue(f"hosts-{first}", some)
        listens = "\n".join(f"    listen {address}:@PORT@ ssl backlog=511;" for address in some)
        blocks.append(f"server {{\n{listens}\n    ssl_certificate {certificate};\n    ssl_certificate_key {key};\n"
                      "    keepalive_timeout 0;\n    location / {\n      default_type application/json;\n"
                      "      return 200 '{\"received\":true}';\n    }\n  }")
    return "\n  ".join(blocks)
