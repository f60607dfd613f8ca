"""The distance kernels by dimension, beside SimSIMD and NumKong from PyPI.

One query against a block of rows that fits the second-level cache, one thread. Peers by their
`cdist`, one call a block, so that Python's share is small; ours by `omen-bench kernels`, rows in the
order of a list as in a search. In turn, several times; medians.
"""

import json
import statistics
import time

import numpy

from omenbench import plots
from omenbench.binaries import binary
from omenbench.console import say, show_table
from omenbench.process import run_json

SUMMARY = "distance kernels at 128...1536 dimensions beside SimSIMD and NumKong"
DIMS = [128, 256, 384, 512, 768, 1536]
BLOCK_BYTES = 1 << 20
PASSES = 30
# Elements that the peers' rows have, too.
ELEMENTS = {"f32": "float32", "u8": "uint8"}
# Our kernels by name -> elements of query and rows, metric.
KERNELS = {
    "l2_u8": ("u8", "l2"),
    "dot_u8": ("u8", "ip"),
    "l2_f32": ("f32", "l2"),
    "dot_f32": ("f32", "ip"),
    "l2_f32_u8": ("f32 against u8", "l2"),
    "dot_f32_u8": ("f32 against u8", "ip"),
    "dot_i8_u8": ("i8 against u8 codes", "ip"),
    "dot_i8_u4": ("i8 against 4-bit codes", "ip"),
    "dot_i8_u1": ("i8 against 1-bit codes", "ip"),
}


def add_arguments(parser) -> None:
    parser.add_argument("--dims", default=",".join(map(str, DIMS)))
    parser.add_argument("--repeats", type=int, default=3)


def run(options, recorder) -> None:
    dims = [int(text) for text in options.dims.split(",")]
    command = [binary("omen-bench"), "kernels", "--dims", ",".join(map(str, dims)),
               "--block-bytes", BLOCK_BYTES]
    recorder.note_command(command)
    runs = []
    for turn in range(options.repeats):
        say(f"dims: round {turn + 1} of {options.repeats}")
        ours = run_json(command)
        recorder.rows["kernels"] = ours["kernels"]
        runs.append(kernel_rows(ours) + peer_rows(dims))
    recorder.rows["nanoseconds"] = merge(runs)
    show(recorder.rows["nanoseconds"])


def kernel_rows(ours: dict) -> list[dict]:
    """Our figures in the form of the peers'; a kernel without a name here keeps its own."""
    found = []
    for point in ours["points"]:
        element, metric = KERNELS.get(point["kernel"], (point["kernel"], ""))
        found.append({"library": "OmenDB", "element": element, "metric": metric,
                      "dim": point["dim"], "ns": point["list_ns"]})
    return found


def peer_rows(dims: list[int]) -> list[dict]:
    import numkong
    import simsimd

    # Only the calling thread: what one of our workers has.
    libraries = {"SimSIMD": simsimd.cdist, "NumKong": numkong.cdist}
    found = []
    random = numpy.random.default_rng(1)
    for dim in dims:
        for element, kind in ELEMENTS.items():
            count = BLOCK_BYTES // (dim * numpy.dtype(kind).itemsize)
            rows = random.integers(0, 256, (count, dim)).astype(kind)
            query = rows[:1].copy()
            for library, cdist in libraries.items():
                for metric, name in (("l2", "sqeuclidean"), ("ip", "dot")):
                    seconds = median_seconds(lambda: cdist(query, rows, name))
                    found.append({"library": library, "element": element, "metric": metric,
                                  "dim": dim, "ns": seconds / count * 1e9})
    return found


def median_seconds(work) -> float:
    work()
    seconds = []
    for _ in range(PASSES):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def merge(runs: list[list[dict]]) -> list[dict]:
    """Medians over the rounds, for each library, element, metric and dimension."""
    return [json.loads(key) | {"ns": statistics.median(values)}
            for key, values in grouped(runs).items()]


def grouped(runs: list[list[dict]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in (row for rows in runs for row in rows):
        key = json.dumps({name: value for name, value in row.items() if name != "ns"})
        found.setdefault(key, []).append(row["ns"])
    return found


def table(rows: list[dict]) -> tuple[list[str], list[list[str]]]:
    """Nanoseconds per row, a line per library, element and metric, a column per dimension."""
    dims = sorted({row["dim"] for row in rows})
    lines: dict[tuple, dict[int, float]] = {}
    for row in rows:
        key = (row["element"], row["metric"], row["library"])
        lines.setdefault(key, {})[row["dim"]] = row["ns"]
    body = [[f"{library}, {element}, {metric}"]
            + [f"{values[dim]:.1f}" if dim in values else "" for dim in dims]
            for (element, metric, library), values in sorted(lines.items())]
    return ["ns per row", *map(str, dims)], body


def show(rows: list[dict]) -> None:
    show_table(*table(rows))


def plot(result: dict) -> list:
    rows = result["rows"]["nanoseconds"]
    panels = []
    for element in ELEMENTS:
        chosen = [row for row in rows if row["element"] == element and row["metric"] == "l2"]
        libraries = list(dict.fromkeys(row["library"] for row in chosen))
        dims = sorted({row["dim"] for row in chosen})
        series = []
        for library in libraries:
            points = sorted((row["dim"], row["ns"]) for row in chosen if row["library"] == library)
            series.append((library, [dim for dim, _ in points], [ns for _, ns in points]))
        panels.append({"title": f"{element}, l2", "x": "dimensions", "y": "ns per row", "low": 0,
                       "series": series, "ticks": dims})
    return [plots.lines("dims", panels)]
