"""The generated tables, each as lines of Markdown, from results. Pure functions.

A block takes the results by name and returns its lines; a result that is not there makes the block
say how to measure it.
"""

from omenbench import dims, hard, profile, python, targets
from omenbench import open as opening
from omenbench.curves import text as reading


def markdown(titles: list[str], rows: list[list]) -> list[str]:
    """A table; all columns but the first to the right."""
    lines = ["| " + " | ".join(map(str, titles)) + " |",
             "|---|" + "--:|" * (len(titles) - 1)]
    return lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]


def text_table(titles: list[str], rows: list[list]) -> list[str]:
    """A table whose columns are texts."""
    lines = markdown(titles, rows)
    lines[1] = "|---" * len(titles) + "|"
    return lines


def number(value, digits: int = 0) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def needs(*names: str):
    """A block of these results; where one is missing, a line that says so."""
    def decorate(function):
        def block(found: dict[str, dict | None]) -> list[str]:
            missing = [name for name in names if not found.get(name)]
            if missing:
                commands = ", ".join(f"`bench/run {name}`" for name in missing)
                return [f"Not measured yet: {commands}."]
            return function(*(found[name]["rows"] for name in names))
        return block
    return decorate


def picture(name: str) -> list[str]:
    """The picture that was drawn with the result, seen from docs/."""
    return [f"![{name}](images/{name}.png)", ""]


def machine_block(found: dict[str, dict | None]) -> list[str]:
    present = {name: result for name, result in found.items() if result}
    if not present:
        return ["Nothing is measured yet: `bench/run all`."]
    places = {}
    for result in present.values():
        machine = result["machine"]
        place = (f"{machine['cores']} cores of {machine['cpu']} "
                 f"({', '.join(machine.get('flags', []))}), "
                 f"{machine['memory_bytes'] / 2**30:.0f} GiB, Linux {machine['kernel']}")
        places.setdefault(place, []).append(result["name"])
    lines = [f"- {place}: {', '.join(names)}" for place, names in places.items()]
    rows = [[f"`{result['command']}`", result["measured"], number(result["seconds"]),
             result["versions"]["commit"]] for result in present.values()]
    return [*lines, "", *text_table(["command", "measured", "seconds", "commit"], rows)]


EMPTY: dict = {"rows": {}}


def targets_block(found: dict[str, dict | None]) -> list[str]:
    sizes = sorted({result["rows"]["dataset"]["rows"] for result in found.values()
                    if result and "dataset" in result["rows"]}
                   | {row["dataset"]["rows"]
                      for row in (found.get("peers") or EMPTY)["rows"].values()})
    text = " and ".join(f"{size:,}" for size in sizes)
    return [*text_table(["what", "target", "stretch", "measured", "met", "command"],
                        [target.cells() for target in targets.all_targets(found)]),
            *(["", f"Measured with sets of {text} vectors."] if sizes else [])]


def peers_block(kind: str):
    @needs("peers")
    def block(rows: dict) -> list[str]:
        if kind not in rows:
            return [f"Not measured yet: `bench/run peers --datasets {kind}`."]
        found = rows[kind]
        dataset = found["dataset"]
        lines = [*picture(f"peers-{kind}"),
                 f"{dataset['rows']:,} vectors x {dataset['dim']} ({dataset['type']}, "
                 f"{dataset['metric']}), {dataset['queries']:,} queries, recall@{found['k']}.", ""]
        lines += markdown(
            ["", "version", "parameters", "build s", "build threads", "vec/s",
             "QPS 1 thread @0.95", "@0.99", "QPS 2 threads @0.95", "@0.99"],
            [[engine["title"], engine["version"], parameters(engine["parameters"]),
              number(engine["build_seconds"], 1), engine["build_threads"],
              number(engine["vectors_per_second"]),
              *(reading(engine["at_recall"][recall][key]) for key in ("qps_1", "qps_2")
                for recall in ("0.95", "0.99"))]
             for engine in found["engines"].values()])
        left_out = [f"- {name}: {reason}" for name, reason in found["left_out"].items()]
        return lines + (["", "Left out:", "", *left_out] if left_out else [])
    return block


def parameters(values: dict) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


@needs("scaling")
def scaling_block(rows: dict) -> list[str]:
    lines = picture("scaling") + markdown(
        ["shards", "durable vec/s", "linked vec/s", "import CPU s", "QPS @0.95", "@0.99",
         "QPS in batches @0.95", "@0.99", "CPU µs @0.95", "@0.99",
         "in batches @0.95", "@0.99"],
        [[shards, number(row["import"]["durable_vectors_per_second"]),
          number(row["import"]["linked_vectors_per_second"]),
          number(row["import"]["cpu_seconds"], 1),
          *(reading(row["at_recall"][recall][key]) for key in ("qps", "qps_batch")
            for recall in ("0.95", "0.99")),
          *(reading(row["at_recall"][recall][key], 1) for key in ("cpu_us", "cpu_us_batch")
            for recall in ("0.95", "0.99"))]
         for shards, row in rows["shards"].items()])
    last, first = rows["cpu_ratio"]["shards"]

    def ratios(key: str) -> str:
        found = [f"{ratio:.2f} at {recall}" for recall, ratio in rows["cpu_ratio"][key].items()
                 if ratio is not None]
        return ", ".join(found) or "not reached"

    return [*lines, "", f"Processor time per query, {last} shards against {first}, at equal "
            f"recall: {ratios('at_recall')}; in batches {ratios('in_batches')}."]


@needs("scaling")
def latency_block(rows: dict) -> list[str]:
    body = []
    for shards, row in rows["shards"].items():
        one, many = row["default"]["one"], row["default"]["many"]
        body.append([shards, number(one["recall"], 4), number(one["p50_ms"], 3),
                     number(one["p99_ms"], 3), number(many["qps"]), number(many["p50_ms"], 3),
                     number(many["p99_ms"], 3)])
    return markdown(["shards", "recall", "p50 ms, 1 client", "p99 ms",
                     f"QPS, {rows['clients']} clients", "p50 ms", "p99 ms"], body)


@needs("scaling")
def memory_block(rows: dict) -> list[str]:
    return markdown(
        ["shards", "resident B/vector", "of it anonymous", "of it files", "after import",
         "coordinator MiB", "disk B/vector"],
        [[shards, number(row["memory"]["pss_per_vector"]),
          number(row["memory"]["anonymous_per_vector"]), number(row["memory"]["file_per_vector"]),
          number(row["memory_after_import"]["pss_per_vector"]),
          number(row["memory"]["coordinator_rss"] / 2**20, 1),
          number(row["file_bytes_per_vector"])]
         for shards, row in rows["shards"].items()])


@needs("streaming")
def streaming_block(rows: dict) -> list[str]:
    return picture("streaming") + markdown(
        ["", "acknowledged vec/s", "linked vec/s", "write p50 ms", "write p99 ms", "told to wait"],
        [[name, number(row["vectors_per_second"]), number(row["linked_vectors_per_second"]),
          number(row["write_p50_ms"], 1), number(row["write_p99_ms"], 1), row["told_to_wait"]]
         for name, row in (("writers alone", rows["insert"]),
                           ("while searching", rows["mixed"]))])


@needs("streaming")
def mixed_block(rows: dict) -> list[str]:
    """Recall on the way, at every tenth of the acknowledged rows, and what a search took."""
    samples = [row for row in rows["mixed"]["samples"] if row["recall"] is not None]
    count = rows["dataset"]["rows"]
    chosen = []
    for tenth in range(1, 11):
        reached = [row for row in samples if row["acknowledged"] >= count * tenth / 10]
        if reached and reached[0] not in chosen:
            chosen.append(reached[0])
    if samples and samples[-1] not in chosen:
        chosen.append(samples[-1])
    lines = markdown(["s", "acknowledged", "linked", "recall@10", "searches judged"],
                     [[number(row["seconds"], 1), number(row["acknowledged"]),
                       number(row["linked"]), number(row["recall"], 4), row["judged"]]
                      for row in chosen])
    return [*lines, "", f"A search took {rows['mixed']['search_p50_ms']:.2f} ms in the middle and "
            f"{rows['mixed']['search_p99_ms']:.1f} ms at the 99th percentile meanwhile."]


@needs("streaming")
def beside_block(rows: dict) -> list[str]:
    idle = rows["latency"]["idle"]["p99_ms"]
    body = [[name, number(row["p50_ms"], 3), number(row["p99_ms"], 3),
             f"{row['p99_ms'] / idle:.1f} x", number(row.get("worst_second_p99_ms"), 3),
             number(row.get("seconds"), 1)]
            for name, row in rows["latency"].items()]
    return markdown(["beside", "p50 ms", "p99 ms", "of idle p99", "worst second's p99 ms",
                     "lasted s"], body)


@needs("streaming")
def rounds_block(rows: dict) -> list[str]:
    return markdown(
        ["round", "recall@10", "linked vec/s", "rows", "deleted", "resident B/vector",
         "disk B/vector"],
        [[row["round"], number(row["recall"], 4), number(row["linked_vectors_per_second"]),
          number(row["rows"]), number(row["deleted"]), number(row["resident_bytes_per_vector"]),
          number(row["file_bytes_per_vector"])] for row in rows["rounds"]["rounds"]])


@needs("hard")
def hard_block(rows: dict) -> list[str]:
    lines = markdown(
        ["set, metric", "rows", "built", "margin at equal time", "at equal width",
         "recall at the default", "at `recall=0.95`", "distances a query", "scans",
         "below the rule"],
        [[name, number(row["rows"]), line["way"], hard.signed(line["time"]),
          hard.signed(line["width"]), number(line["default"], 3), number(line["asked"], 3),
          number(line["distances"]), "" if line["scans"] is None else f"{line['scans']:.0%}",
          "; ".join(line["complaints"])]
         for name, row in rows.items() for line in hard.summary(row)])
    return lines


@needs("dims")
def dims_block(rows: dict) -> list[str]:
    return [*picture("dims"), f"Ours: `{rows['kernels']}`.", "",
            *markdown(*dims.table(rows["nanoseconds"]))]


@needs("python")
def python_block(rows: dict) -> list[str]:
    return [f"{rows['dataset']['rows']:,} vectors x {rows['dataset']['dim']}, float32.", "",
            *markdown(*python.table(rows["rows"]))]


@needs("python")
def packages_block(rows: dict) -> list[str]:
    found = rows["packages"]
    shape = found["dataset"]
    return [f"{shape['rows']:,} vectors x {shape['dim']}, {shape['type']}.", "",
            *markdown(*python.packages_table(found))]


@needs("open")
def open_block(rows: dict) -> list[str]:
    return picture("open") + markdown(
        [f"{rows['dataset']['rows']:,} vectors", "median ms", "worst ms"],
        [[name, number(times["median_ms"], 1), number(times["worst_ms"], 1)]
         for name, times in opening.cases(rows)])


@needs("profile")
def profile_block(rows: dict) -> list[str]:
    return picture("profile") + markdown(*profile.table(rows["shares"]))


def readme_block(found: dict[str, dict | None]) -> list[str]:
    """The targets that were measured, without their commands."""
    chosen = [target for target in targets.all_targets(found) if target.is_met is not None]
    if not chosen:
        return ["Not measured yet: `bench/run all`."]
    return text_table(["", "measured", "target"],
                      [[target.what, target.measured, target.target] for target in chosen])


@needs("peers", "scaling")
def readme_peers_block(peers: dict, shards: dict) -> list[str]:
    """Ours beside the others on the largest set: building, and searching at recall 0.95."""
    if "sift" not in peers:
        return ["Not measured yet: `bench/run peers`."]
    rows = [[engine["title"], number(engine["vectors_per_second"]), engine["build_threads"],
             reading(engine["at_recall"]["0.95"]["qps_1"]),
             reading(engine["at_recall"]["0.95"]["qps_2"])]
            for engine in peers["sift"]["engines"].values()]
    for count, row in shards["shards"].items():
        if count == "8":
            rows.append(["OmenDB, cluster of 8, durable, over its socket",
                         number(row["import"]["linked_vectors_per_second"]), 2, "",
                         reading(row["at_recall"]["0.95"]["qps_batch"])])
    return markdown(["", "built vec/s", "threads", "QPS @0.95, 1 thread", "2 threads"], rows)


BLOCKS = {
    "machine": machine_block,
    "targets": targets_block,
    "peers-sift": peers_block("sift"),
    "peers-text": peers_block("text"),
    "scaling": scaling_block,
    "latency": latency_block,
    "memory": memory_block,
    "streaming": streaming_block,
    "mixed": mixed_block,
    "beside": beside_block,
    "rounds": rounds_block,
    "hard": hard_block,
    "dims": dims_block,
    "python": python_block,
    "packages": packages_block,
    "open": open_block,
    "profile": profile_block,
    "readme": readme_block,
    "readme-peers": readme_peers_block,
}
