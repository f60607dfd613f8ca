"""Searching a running cluster from outside, by `omen-bench cluster`, with what it costs."""

from omenbench import cluster as clusters
from omenbench.binaries import binary
from omenbench.failure import Failure
from omenbench.process import run_json


def command(cluster, dataset, clients: int, ef: int, seconds: float, batch: int = 1,
            latencies: bool = False) -> list:
    """`clients` connections, each one request of `batch` queries at a time; ef 0: the default."""
    return [binary("omen-bench"), "cluster", "--socket", cluster.socket,
            "--queries", dataset.files["query"], "--neighbors", dataset.files["neighbors"],
            "--clients", clients, "--ef", ef, "--batch", batch, "--seconds", seconds,
            "--latencies", int(latencies)]


def search(cluster, dataset, clients: int, ef: int, seconds: float, batch: int = 1,
           latencies: bool = False) -> dict:
    """Queries per second, recall, latencies in ms and processor time per query in microseconds.

    The time is that of the coordinator and the workers; the clients' is theirs. With `latencies`
    there also is each single one, in microseconds.
    """
    words = command(cluster, dataset, clients, ef, seconds, batch, latencies)
    cluster.recorder.note_command([*words[:3], "DIR/omen.sock", *words[4:]])
    pids = list(cluster.processes().values())
    before = clusters.cpu_seconds(pids)
    found = run_json(words, timeout=seconds + 120)
    used = clusters.cpu_seconds(pids) - before
    if found["errors"]:
        raise Failure(f"{found['errors']} searches failed")
    return {
        "clients": found["clients"],
        "batch": found["batch"],
        "ef": found["ef"],
        "qps": found["qps"],
        "recall": found["recall"],
        "p50_ms": found["p50_ms"],
        "p99_ms": found["p99_ms"],
        "cpu_us": used / found["queries"] * 1e6,
        **({"latencies_us": found["latencies_us"]} if latencies else {}),
    }
