"""Writing while searching: rates, recall on the way, latencies beside builds and checkpoints, decay.

1. `insert`: writers alone; until all is acknowledged, and until all is in the graph.
2. `mixed`: the same into an empty cluster while one client searches; recall is measured again and
   again against the vectors acknowledged so far.
3. `latency`: one client on the full cluster: idle, during a checkpoint, while every shard builds its
   graph anew because a quarter of the vectors was deleted, and while everything is imported once
   more: then searches also compare with all that is not linked yet.
4. `rounds`: every id is upserted anew, round after round; recall after each, once all is linked.
"""

import subprocess
import threading
import time

import numpy

from omenbench import cluster as clusters
from omenbench import datasets, load, plots
from omenbench.client import Client
from omenbench.console import say, show_table
from omenbench.curves import percentile
from omenbench.failure import Failure
from omenbench.recall import recall_of, recall_of_prefix
from omenbench.writers import Writers

SUMMARY = "inserts while searching, latency during builds, ten rounds of re-upserting"
K = 10
# Asked for while rows come in, so that ten are left when the newest are taken out.
K_MIXED = 20
# Most rows, as a multiple of those acknowledged before, that may be there when an answer is judged.
NEWER_MAX = 1.3
PIECE_SECONDS = 0.5
# Ids in one delete, the most a request may have.
DELETE_COUNT = 10_000


def add_arguments(parser) -> None:
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--batch", type=int, default=1000, help="vectors per request (1000)")
    parser.add_argument("--seconds", type=float, default=4, help="of each idle latency (4)")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--round-count", type=int, default=200_000,
                        help="vectors that are upserted again and again (200,000)")


def run(options, recorder) -> None:
    dataset = datasets.find("sift", options.data, options.count)
    rows = recorder.rows
    rows["dataset"] = dataset.describe()
    rows["file_system"] = clusters.scratch_file_system()
    with clusters.temporary_cluster(recorder, options.shards) as cluster:
        say(f"streaming: {options.writers} writers, {dataset.count:,} vectors")
        rows["insert"] = insert(cluster, dataset, options)
    with clusters.temporary_cluster(recorder, options.shards) as cluster:
        say("streaming: the same while searching")
        rows["mixed"] = mixed(cluster, dataset, options)
        say("streaming: latency beside a checkpoint and beside building")
        rows["latency"] = latency(cluster, dataset, options)
    part = datasets.find("sift", options.data, min(options.round_count, dataset.count))
    with clusters.temporary_cluster(recorder, options.shards) as cluster:
        rows["rounds"] = rounds(cluster, part, options)
    show(rows)


def create(cluster, dataset) -> None:
    """Makes the collection, of the bytes or floats that the vectors are."""
    element = "u8" if dataset.base.dtype == numpy.uint8 else "f32"
    cluster.call("create", "default", "--dim", dataset.dim, "--metric", dataset.metric,
                 "--element", element)


def insert(cluster, dataset, options) -> dict:
    create(cluster, dataset)
    writers = Writers(cluster.socket, dataset.base[:], options.writers, options.batch)
    writers.start()
    writers.finish()
    cluster.wait_linked()
    linked_seconds = time.perf_counter() - writers.begin
    return {
        **writers.summary(),
        "linked_seconds": linked_seconds,
        "linked_vectors_per_second": dataset.count / linked_seconds,
        "default": load.search(cluster, dataset, 1, 0, options.seconds),
    }


def mixed(cluster, dataset, options) -> dict:
    create(cluster, dataset)
    writers = Writers(cluster.socket, dataset.base[:], options.writers, options.batch)
    writers.start()
    searcher = Searcher(cluster, dataset, writers)
    with Client(cluster.socket) as client:
        while writers.is_running():
            searcher.search_for(client, PIECE_SECONDS)
        writers.finish()
        while searcher.samples[-1]["linked"] < dataset.count:
            searcher.search_for(client, PIECE_SECONDS)
    linked_seconds = searcher.samples[-1]["seconds"]
    return {
        **writers.summary(),
        "linked_seconds": linked_seconds,
        "linked_vectors_per_second": dataset.count / linked_seconds,
        "searches": len(searcher.latencies),
        "search_p50_ms": percentile(searcher.latencies, 0.5) * 1000,
        "search_p99_ms": percentile(searcher.latencies, 0.99) * 1000,
        "samples": searcher.samples,
    }


class Searcher:
    """One client that searches query by query, and knows what each answer should have had."""

    def __init__(self, cluster, dataset, writers):
        self.cluster = cluster
        self.writers = writers
        self.queries = dataset.queries
        self.truth = dataset.neighbors.tolist()
        self.next = 0
        self.latencies: list[float] = []
        self.samples: list[dict] = []

    def search_for(self, client, seconds: float) -> None:
        """Searches so long, and notes the mean recall of it."""
        frontier = self.writers.frontier
        begin = time.perf_counter()
        recalls = []
        while time.perf_counter() - begin < seconds:
            at = self.next
            self.next = (at + 1) % len(self.queries)
            stored = frontier.acknowledged
            sent = time.perf_counter()
            found = client.search(self.queries[at:at + 1], K_MIXED)
            self.latencies.append(time.perf_counter() - sent)
            # With many newer rows the older neighbours need not be among those asked for.
            if frontier.next <= stored * NEWER_MAX:
                recalls.append(recall_of_prefix(found, [self.truth[at]], K, stored))
        recalls = [recall for recall in recalls if recall is not None]
        self.samples.append({
            "seconds": time.perf_counter() - self.writers.begin,
            "acknowledged": frontier.acknowledged,
            "linked": self.cluster.counts()["linked"],
            "judged": len(recalls),
            "recall": sum(recalls) / len(recalls) if recalls else None,
        })


def latency(cluster, dataset, options) -> dict:
    """One client at the default width: idle, beside a checkpoint, a build, an import."""
    cluster.wait_linked()
    idle = load.search(cluster, dataset, 1, 0, options.seconds)

    def checkpoint(client) -> None:
        # So that every shard has to write all of its file.
        client.delete(range(1000))
        client.checkpoint()

    importing = [str(cluster.binary), "import", str(dataset.files["base"]), "--wait-indexed",
                 "--data", str(cluster.folder), "--json"]

    def build(client) -> None:
        first = dataset.count - dataset.count // 4
        for start in range(first, dataset.count, DELETE_COUNT):
            client.delete(range(start, min(start + DELETE_COUNT, dataset.count)))
        # A build is over when no shard has dead rows.
        while cluster.counts()["deleted"] > 0:
            time.sleep(0.05)

    def load_anew(_client) -> None:
        done = subprocess.run(importing, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"{' '.join(importing)}: exit {done.returncode}: {done.stderr.strip()}")

    return {"idle": idle,
            "checkpoint": beside(cluster, dataset, options, checkpoint),
            "build": beside(cluster, dataset, options, build),
            "import": beside(cluster, dataset, options, load_anew)}


def beside(cluster, dataset, options, work) -> dict:
    """Latency of one client from the beginning of `work` to its end, and of the worst second."""
    failures: list[Exception] = []

    def act() -> None:
        try:
            with Client(cluster.socket) as client:
                work(client)
        # Told below, by the thread that measures.
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=act)
    begin = time.perf_counter()
    thread.start()
    readings = []
    while thread.is_alive():
        readings.append(load.search(cluster, dataset, 1, 0, 1, latencies=True))
    thread.join()
    seconds = time.perf_counter() - begin
    if failures:
        raise failures[0]
    latencies = [latency for reading in readings for latency in reading["latencies_us"]]
    return {
        "seconds": seconds,
        "searches": len(latencies),
        "p50_ms": percentile(latencies, 0.5) / 1000,
        "p99_ms": percentile(latencies, 0.99) / 1000,
        "worst_second_p99_ms": max(reading["p99_ms"] for reading in readings),
    }


def rounds(cluster, dataset, options) -> dict:
    """Recall, memory and disk after each round in which every id is upserted anew."""
    create(cluster, dataset)
    truth = dataset.neighbors.tolist()
    base = dataset.base[:]
    found = []
    for number in range(options.rounds + 1):
        say(f"streaming: round {number} of {options.rounds}, {dataset.count:,} upserts")
        writers = Writers(cluster.socket, base, options.writers, options.batch)
        writers.start()
        writers.finish()
        cluster.wait_linked()
        linked_seconds = time.perf_counter() - writers.begin
        with Client(cluster.socket) as client:
            hits = client.search(dataset.queries, K)
        counts = cluster.counts()
        pids = cluster.processes()
        found.append({
            "round": number,
            "recall": recall_of(hits, truth, K),
            "hits": sum(map(len, hits)) / len(hits),
            "linked_vectors_per_second": dataset.count / linked_seconds,
            "rows": counts["rows"],
            "deleted": counts["deleted"],
            "resident_bytes_per_vector": clusters.memory(pids.values())["pss"] / dataset.count,
            "file_bytes_per_vector": cluster.file_bytes() / dataset.count,
        })
    return {"vectors": dataset.count, "rounds": found,
            "recall_fall": found[0]["recall"] - min(row["recall"] for row in found)}


def show(rows: dict) -> None:
    show_table(
        ["", "acknowledged vec/s", "linked vec/s", "write p99 ms"],
        [[name, f"{rows[name]['vectors_per_second']:,.0f}",
          f"{rows[name]['linked_vectors_per_second']:,.0f}", f"{rows[name]['write_p99_ms']:.1f}"]
         for name in ("insert", "mixed")])
    show_table(["search", "p50 ms", "p99 ms"],
               [[name, f"{row['p50_ms']:.3f}", f"{row['p99_ms']:.3f}"]
                for name, row in rows["latency"].items()])
    show_table(["round", "recall", "rows", "deleted", "B/vector"],
               [[row["round"], f"{row['recall']:.4f}", f"{row['rows']:,}", f"{row['deleted']:,}",
                 f"{row['resident_bytes_per_vector']:,.0f}"] for row in rows["rounds"]["rounds"]])


def plot(result: dict) -> list:
    rows = result["rows"]
    samples = rows["mixed"]["samples"]
    seconds = [row["seconds"] for row in samples]
    judged = [row for row in samples if row["recall"] is not None]
    found = rows["rounds"]["rounds"]
    return [plots.lines("streaming", [
        {"title": "inserting while searching", "x": "seconds", "y": "vectors", "low": 0,
         "series": [("acknowledged", seconds, [row["acknowledged"] for row in samples]),
                    ("linked", seconds, [row["linked"] for row in samples])]},
        {"title": "recall meanwhile", "x": "seconds", "y": "recall@10", "low": 0.8,
         "series": [("recall", [row["seconds"] for row in judged],
                     [row["recall"] for row in judged])]},
        {"title": f"re-upserting {rows['rounds']['vectors']:,} vectors", "x": "round",
         "y": "recall@10", "low": 0.8,
         "series": [("recall", [row["round"] for row in found],
                     [row["recall"] for row in found])]},
    ])]
