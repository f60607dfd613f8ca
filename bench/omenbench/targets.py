"""The targets, each with what was measured for it. Pure functions of the results."""

from dataclasses import dataclass

from omenbench import peers
from omenbench.curves import known

RECALL_FALL_MAX = 0.005


@dataclass(frozen=True)
class Target:
    """A line of the table; `is_met` is None where nothing was measured."""

    what: str
    target: str
    stretch: str
    measured: str
    is_met: bool | None
    command: str

    def cells(self) -> list[str]:
        met = {True: "yes", False: "**no**", None: "not measured"}[self.is_met]
        return [self.what, self.target, self.stretch, self.measured, met, f"`{self.command}`"]


class Results:
    """Results by name, and values in them by path; what is not there is None."""

    def __init__(self, found: dict[str, dict | None]):
        self.found = found

    def get(self, name: str, *path):
        value = self.found.get(name)
        value = value["rows"] if value else None
        for key in path:
            if not isinstance(value, dict) or key not in value:
                return None
            value = value[key]
        return value


def all_targets(found: dict[str, dict | None]) -> list[Target]:
    results = Results(found)
    return [
        bulk_import(results), streaming(results), default_recall(results),
        *in_process(results, "sift"), cluster_throughput(results), cluster_latency(results),
        processor_ratio(results), resident(results), reopen(results),
        *in_process(results, "text"), rounds(results), beside(results),
    ]


def _target(what, target, stretch, command, values, judge, text) -> Target:
    """A target whose `values` were all measured is judged; else it says what there is not."""
    if any(value is None for value in values):
        return Target(what, target, stretch, "", None, command)
    return Target(what, target, stretch, text(*values), judge(*values), command)


def most_shards(results: Results) -> str | None:
    shards = results.get("scaling", "shards")
    return max(shards, key=int) if shards else None


def bulk_import(results: Results) -> Target:
    rate = results.get("scaling", "shards", "8", "import", "linked_vectors_per_second")
    peer = results.get("peers", "sift", "engines", "hnswlib", "vectors_per_second")
    return _target(
        "bulk `import` into 8 shards, durable and linked",
        "100,000 vec/s and 20 x hnswlib, 2 threads", "200,000 vec/s", "bench/run scaling",
        [rate, peer], lambda ours, theirs: ours >= 100_000 and ours >= 20 * theirs,
        lambda ours, theirs: f"{ours:,.0f} vec/s, {ours / theirs:.1f} x {theirs:,.0f}")


def streaming(results: Results) -> Target:
    rates = [results.get("streaming", "insert", key)
             for key in ("vectors_per_second", "linked_vectors_per_second")]
    return _target(
        "streaming inserts into 8 shards, 8 writers, acknowledged durably and linked",
        "41,000 vec/s", "80,000 vec/s", "bench/run streaming", rates,
        lambda _, linked: linked >= 41_000,
        lambda acknowledged, linked: f"{acknowledged:,.0f} acknowledged, {linked:,.0f} linked")


def default_recall(results: Results) -> Target:
    values = [results.get("scaling", "shards", "8", "default", "one", "recall"),
              results.get("streaming", "insert", "default", "recall")]
    return _target(
        "recall@10 at the default `ef` after import, after streaming", "0.95", "0.97",
        "bench/run scaling streaming", values, lambda *both: min(both) >= 0.95,
        lambda imported, streamed: f"{imported:.4f}, {streamed:.4f}")


def in_process(results: Results, kind: str) -> list[Target]:
    """Queries per second on one thread, beside the fastest peer."""
    rows = results.get("peers", kind)
    name = {"sift": "SIFT", "text": "384-d text, cosine"}[kind]
    found = []
    for recall in (0.95, 0.99) if kind == "sift" else (0.95,):
        ours = known(results.get("peers", kind, "engines", "omendb", "at_recall", str(recall),
                                 "qps_1"))
        peer = peers.best_peer(rows, recall, "qps_1") if rows else None
        found.append(_target(
            f"{name}, in-process QPS, 1 thread, at recall {recall}", "2 x the best peer", "4 x",
            "bench/run peers", [ours, peer], lambda ours, peer: ours >= 2 * peer[1],
            lambda ours, peer: f"{ours:,.0f}, {ours / peer[1]:.1f} x {title(rows, peer[0])}"))
    return found


def title(rows: dict, name: str) -> str:
    return rows["engines"][name]["title"]


def cluster_throughput(results: Results) -> Target:
    ours = [known(results.get("scaling", "shards", "8", "at_recall", "0.95", key))
            for key in ("qps", "qps_batch")]
    rows = results.get("peers", "sift")
    peer = peers.best_peer(rows, 0.95, "qps_2") if rows else None
    return _target(
        "cluster of 8, concurrent clients, QPS at recall 0.95 (query by query; in batches)",
        "the best peer's in-process 2-thread batch QPS", "2 x", "bench/run scaling peers",
        [*ours, peer], lambda single, batch, peer: max(single, batch) >= peer[1],
        lambda single, batch, peer: f"{single:,.0f}; {batch:,.0f}, {batch / peer[1]:.2f} x "
                                    f"{title(rows, peer[0])}")


def cluster_latency(results: Results) -> Target:
    values = [results.get("scaling", "shards", "8", "default", "one", key)
              for key in ("p50_ms", "p99_ms")]
    return _target(
        "cluster of 8, one client, one query at a time, default `ef`",
        "p50 0.25 ms, p99 0.56 ms", "p50 0.12 ms", "bench/run scaling", values,
        lambda p50, p99: p50 <= 0.25 and p99 <= 0.56,
        lambda p50, p99: f"p50 {p50:.3f} ms, p99 {p99:.3f} ms")


def processor_ratio(results: Results) -> Target:
    ratios = [results.get("scaling", "cpu_ratio", key, "0.95")
              for key in ("at_recall", "in_batches")]
    shards = results.get("scaling", "cpu_ratio", "shards")
    if shards != [8, 1]:
        ratios = [None, None]
    return _target(
        "processor time per query at recall 0.95, 8 shards against 1 (query by query; in batches)",
        "1.5 x", "1.3 x", "bench/run scaling", ratios, lambda single, _batch: single <= 1.5,
        lambda single, batch: f"{single:.2f} x; {batch:.2f} x")


def resident(results: Results) -> Target:
    value = results.get("scaling", "shards", "8", "memory", "pss_per_vector")
    return _target(
        "resident bytes per vector, workers together", "288", "200", "bench/run scaling", [value],
        lambda value: value <= 288, lambda value: f"{value:,.0f}")


def reopen(results: Results) -> Target:
    warm = ("open", "8", "warm")
    values = [results.get("open", *warm, key, "median_ms") for key in ("start", "first_query")]
    count = results.get("open", "dataset", "rows")
    return _target(
        f"reopen {count or 0:,} vectors; first query", "50 ms; 20 ms", "", "bench/run open", values,
        lambda start, query: start <= 50 and query <= 20,
        lambda start, query: f"{start:.0f} ms; {query:.1f} ms")


def rounds(results: Results) -> Target:
    fall = results.get("streaming", "rounds", "recall_fall")
    return _target(
        "recall lost by ten rounds of re-upserting every id", "0.005", "", "bench/run streaming",
        [fall], lambda fall: fall <= RECALL_FALL_MAX, lambda fall: f"{fall:.4f}")


def beside(results: Results) -> Target:
    values = [results.get("streaming", "latency", key, "p99_ms")
              for key in ("idle", "checkpoint", "build")]
    return _target(
        "search p99 while a checkpoint, a build runs, against idle", "3 x", "1.5 x",
        "bench/run streaming", values,
        lambda idle, checkpoint, build: max(checkpoint, build) <= 3 * idle,
        lambda idle, checkpoint, build:
            f"{checkpoint / idle:.1f} x, {build / idle:.1f} x of {idle:.2f} ms")
