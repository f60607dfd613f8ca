"""What shards cost and bring: import, searches by many clients, latency, processor time, memory.

The same vectors in clusters of 1, 2, 4 and 8 shards, one after the other, through the coordinator's
socket as any client. Processor time is that of the coordinator and all workers.
"""

from omenbench import cluster as clusters
from omenbench import curves, datasets, load, plots
from omenbench.console import say, show_table

SUMMARY = "import, throughput, latency, processor time and memory by number of shards"
WIDTHS = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256]
RECALLS = [0.95, 0.99]
# Wider searches add nothing that is read off.
RECALL_ENOUGH = 0.995
# What is read off at a fixed recall: key -> (which load, its key).
KEYS = {"qps": ("many", "qps"), "cpu_us": ("many", "cpu_us"),
        "qps_batch": ("batch", "qps"), "cpu_us_batch": ("batch", "cpu_us")}


def add_arguments(parser) -> None:
    parser.add_argument("--shards", default="1,2,4,8")
    parser.add_argument("--clients", type=int, default=16,
                        help="concurrent clients that send query by query (16)")
    parser.add_argument("--batch-clients", type=int, default=4,
                        help="concurrent clients that send batches (4)")
    parser.add_argument("--batch", type=int, default=32, help="queries in such a batch (32)")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each measurement (1.5)")


def run(options, recorder) -> None:
    dataset = datasets.find("sift", options.data, options.count)
    recorder.rows["dataset"] = dataset.describe()
    recorder.rows["file_system"] = clusters.scratch_file_system()
    recorder.rows["clients"] = options.clients
    recorder.rows["batch"] = {"clients": options.batch_clients, "queries": options.batch}
    recorder.rows["shards"] = {}
    for shards in map(int, options.shards.split(",")):
        say(f"scaling: {shards} shards, importing {dataset.count:,} vectors")
        with clusters.temporary_cluster(recorder, shards) as cluster:
            recorder.rows["shards"][str(shards)] = measure(cluster, dataset, options)
    recorder.rows["cpu_ratio"] = cpu_ratio(recorder.rows["shards"])
    show(recorder.rows)


def measure(cluster, dataset, options) -> dict:
    pids = cluster.processes()
    before = clusters.cpu_seconds(pids.values())
    imported = cluster.import_vectors(dataset.files["base"], dataset.metric)
    used = clusters.cpu_seconds(pids.values()) - before
    row = {
        "import": {
            "durable_vectors_per_second": imported["vectors_per_second"],
            "linked_vectors_per_second": imported["vectors"] / imported["indexed_seconds"],
            "durable_seconds": imported["seconds"],
            "linked_seconds": imported["indexed_seconds"],
            "cpu_seconds": used,
        },
        "memory_after_import": resident(cluster, dataset.count),
    }
    # From the files: what a cluster holds that runs, not what building left behind.
    cluster.stop()
    cluster.start()
    def searched(ef: int) -> dict:
        return {
            "many": load.search(cluster, dataset, options.clients, ef, options.seconds),
            "batch": load.search(cluster, dataset, options.batch_clients, ef, options.seconds,
                                 options.batch),
        }

    row["default"] = {
        "one": load.search(cluster, dataset, 1, 0, 2 * options.seconds), **searched(0)}
    row["points"] = {"many": [], "batch": []}
    for ef in WIDTHS:
        say(f"scaling: {cluster_size(cluster)} shards, ef {ef}")
        for which, point in searched(ef).items():
            row["points"][which].append(point)
        if row["points"]["many"][-1]["recall"] > RECALL_ENOUGH:
            break
    row["memory"] = resident(cluster, dataset.count)
    row["file_bytes_per_vector"] = cluster.file_bytes() / dataset.count
    row["at_recall"] = {
        str(recall): {
            name: curves.at_recall(row["points"][which], recall, key).json()
            for name, (which, key) in KEYS.items()
        }
        for recall in RECALLS
    }
    return row


def cluster_size(cluster) -> int:
    return len(cluster.processes()) - 1


def resident(cluster, count: int) -> dict:
    """Resident bytes per vector, workers together, and the coordinator's in all."""
    pids = cluster.processes()
    coordinator = pids.pop("coordinator")
    found = clusters.memory(pids.values())
    return {
        **{f"{key}_per_vector": value / count for key, value in found.items()},
        "coordinator_rss": clusters.memory([coordinator])["rss"],
    }


def cpu_ratio(shards: dict) -> dict:
    """Processor time per query, most shards against fewest, at equal recall."""
    first, last = min(shards, key=int), max(shards, key=int)

    def ratio(recall: str, key: str) -> float | None:
        # The cost at a better recall is no less than that at the wanted one; it must not divide.
        values = [curves.known(shards[last]["at_recall"][recall][key]),
                  shards[first]["at_recall"][recall][key]["value"]]
        return None if None in values or first == last else values[0] / values[1]

    return {"shards": [int(last), int(first)],
            "at_recall": {str(recall): ratio(str(recall), "cpu_us") for recall in RECALLS},
            "in_batches": {str(recall): ratio(str(recall), "cpu_us_batch") for recall in RECALLS}}


def number(value: float, digits: int = 0) -> str:
    return f"{value:,.{digits}f}"


def show(rows: dict) -> None:
    show_table(
        ["shards", "durable vec/s", "linked vec/s", "QPS @0.95", "in batches",
         "CPU us @0.95", "p50 ms", "p99 ms",
         "recall default", "B/vector"],
        [[shards, number(row["import"]["durable_vectors_per_second"]),
          number(row["import"]["linked_vectors_per_second"]),
          curves.text(row["at_recall"]["0.95"]["qps"]),
          curves.text(row["at_recall"]["0.95"]["qps_batch"]),
          curves.text(row["at_recall"]["0.95"]["cpu_us"], 1),
          number(row["default"]["one"]["p50_ms"], 3), number(row["default"]["one"]["p99_ms"], 3),
          number(row["default"]["one"]["recall"], 4), number(row["memory"]["pss_per_vector"])]
         for shards, row in rows["shards"].items()])
    print(f"processor time per query, {rows['cpu_ratio']['shards'][0]} shards against "
          f"{rows['cpu_ratio']['shards'][1]}: {rows['cpu_ratio']['at_recall']}, in batches "
          f"{rows['cpu_ratio']['in_batches']}")


def plot(result: dict) -> list:
    shards = result["rows"]["shards"]
    counts = [int(number) for number in shards]

    def series(points_of, key):
        return [(f"{shards_} shards", [point["recall"] for point in points_of(row)],
                 [point[key] for point in points_of(row)]) for shards_, row in shards.items()]

    def many(row):
        return row["points"]["many"]

    return [plots.lines("scaling", [
        {"title": "import", "x": "shards", "y": "vectors per second", "ticks": counts, "low": 0,
         "series": [("durable", counts,
                     [row["import"]["durable_vectors_per_second"] for row in shards.values()]),
                    ("durable and linked", counts,
                     [row["import"]["linked_vectors_per_second"] for row in shards.values()])]},
        {"title": f"{result['rows']['clients']} clients, query by query", "x": "recall@10",
         "log": True, "y": "queries per second", "series": series(many, "qps")},
        {"title": "processor time, whole cluster", "x": "recall@10", "y": "µs per query",
         "low": 0, "series": series(many, "cpu_us")},
    ])]
