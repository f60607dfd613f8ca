"""Where the time goes: `perf` over building, searching in process, importing and a busy cluster.

Samples of the processor's time, grouped by what the symbol belongs to; a function that the compiler
inlined counts for the one it is in. Needs `perf` (linux-perf) and the right to use it.
"""

import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from omenbench import cluster as clusters
from omenbench import curves, datasets, load, plots
from omenbench.binaries import binary
from omenbench.console import say, show_table
from omenbench.failure import Failure

SUMMARY = "where the processor's time goes, as shares by group of symbols"
FREQUENCY = 997
KERNEL = re.compile(r"\[kernel|\[vdso|\[guest")
# The first that matches a symbol names its group. Swift symbols are mangled: module and type are
# in there, each behind its length.
GROUPS = [
    ("all pairs of a leaf (Gram, select)", r"^(vnni|v4|v3|portable)_\w*(gram|pack|select)"),
    ("distances (SIMD kernels)", r"^(vnni|v4|v3|portable)_\w*(l2|ip|cos|dot|list|scan|code)"),
    ("candidate order and prune (SIMD kernels)", r"^(vnni|v4|v3|portable)_"),
    ("upper levels, entry points", r"9OmenIndex.*(UpperLevel|descend|findStarts)"),
    ("walk on level 0", r"9OmenIndex.*(BaseSearch|Candidates|searchBase|searchGraph|Beam)"),
    ("bulk build", r"9OmenIndex.*Bulk"),
    ("linking rows", r"9OmenIndex.*([lL]ink|[oO]cclusion|[rR]everse|[pP]rune)"),
    ("codes and scorers", r"9OmenIndex.*([qQ]uantizer|[sS]corer|PreparedQuery|[eE]ncode)"),
    ("index, other", r"9OmenIndex"),
    ("checksums", r"crc32|crc_|xxh|XXH"),
    ("messages", r"8OmenWire|8OmenCore.*([cC]odec|Byte(Reader|Writer))"),
    ("coordinator", r"15OmenCoordinator"),
    ("worker", r"10OmenWorker"),
    ("shard: ids, log records", r"9OmenShard"),
    ("storage", r"11OmenStorage"),
    ("event loop", r"8OmenLoop|^uv_|^uv__"),
    ("client", r"10OmenClient|11OmenFormats|12omen_cluster|10omen_bench"),
    ("memory: copies, allocation", r"^_*mem(cpy|move|set|cmp)|malloc|free|calloc|alloc"),
    ("Swift runtime", r"^swift_|^_swift|^\$sS|^\$ss"),
]
GROUPS = [(name, re.compile(pattern)) for name, pattern in GROUPS]
SOCKETS = re.compile(r"unix_|sock_|skb|recv|send|epoll|ep_|eventfd")
FAULTS = re.compile(r"fault|clear_page|clear_huge|anonymous_page|folio|lru")
DISK = re.compile(r"ext4|jbd2|fsync|blk|writeback|virtio|iomap|filemap")


def add_arguments(parser) -> None:
    parser.add_argument("--only", metavar="NAMES", help=f"of {','.join(PARTS)}; all by default")
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--ef", type=int, default=64, help="width of the searches (64)")
    parser.add_argument("--seconds", type=float, default=5, help="of each profile of searches (5)")


def run(options, recorder) -> None:
    if not shutil.which("perf"):
        raise Failure("perf is not installed: apt-get install linux-perf")
    chosen = options.only.split(",") if options.only else list(PARTS)
    unknown = sorted(set(chosen) - set(PARTS))
    if unknown:
        raise Failure(f"--only {','.join(unknown)}: expected some of {','.join(PARTS)}")
    dataset = datasets.find("sift", options.data, options.count)
    recorder.rows["dataset"] = dataset.describe()
    recorder.rows["shares"] = {}
    for name in chosen:
        say(f"profile: {name}")
        recorder.rows["shares"][name] = PARTS[name](dataset, options, recorder)
    show(recorder.rows["shares"])


class Perf:
    """Samples processes from `with` to its end; `counts` are samples by group afterwards."""

    def __init__(self, recorder, pids):
        self.folder = Path(tempfile.mkdtemp(prefix="omen-perf-"))
        self.file = self.folder / "perf.data"
        # The clock of the system: virtual machines often hide the processor's counters.
        self.command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(FREQUENCY), "-o",
                        str(self.file), "-p", ",".join(map(str, pids))]
        recorder.note_command([*self.command[:-3], "PERF.DATA", "-p", "PIDS"])
        self.counts: Counter = Counter()

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        time.sleep(0.3)
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        errors = self.process.communicate()[1]
        try:
            if kind is None:
                self.counts = self._read(errors)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self, errors: str) -> Counter:
        done = subprocess.run(["perf", "script", "-i", str(self.file), "-F", "comm,ip,sym,dso"],
                              capture_output=True, text=True)
        counts = count_groups(done.stdout.splitlines())
        if not counts:
            sys.stderr.write(errors + done.stderr)
            raise Failure("perf took no samples; see /proc/sys/kernel/perf_event_paranoid")
        return counts


def count_groups(lines) -> Counter:
    """Samples by group, of lines `program  address symbol (file)` as `perf script` prints them."""
    counts: Counter = Counter()
    for line in lines:
        match = re.match(r"\s*\S.*?\s+[0-9a-f]{6,16} (.*) \(([^()]*(?:\([^)]*\))?[^()]*)\)\s*$", line)
        if match:
            counts[group_of(match[1], match[2])] += 1
    return counts


def group_of(symbol: str, file: str) -> str:
    if KERNEL.search(file):
        if FAULTS.search(symbol):
            return "system: page faults"
        if DISK.search(symbol):
            return "system: files"
        return "system: sockets" if SOCKETS.search(symbol) else "system: other"
    for name, pattern in GROUPS:
        if pattern.search(symbol):
            return name
    return "other"


def in_process(dataset, options, recorder, bulk: bool) -> tuple[subprocess.Popen, list]:
    command = [binary("omen-bench"), "index", *(["--build", "bulk"] if bulk else []),
               "--metric", dataset.metric, "--efs", options.ef]
    for option, part in (("base", "base"), ("queries", "query"), ("neighbors", "neighbors")):
        command += [f"--{option}", dataset.files[part]]
    return command


def start(command, recorder) -> subprocess.Popen:
    recorder.note_command(command)
    return subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True)


def profile_build(dataset, options, recorder, bulk: bool) -> dict:
    process = start([*in_process(dataset, options, recorder, bulk), "--repeats", 1], recorder)
    with Perf(recorder, [process.pid]) as perf:
        # Until it says that it is searching.
        told = process.stderr.readline()
    end(process)
    if "searching" not in told:
        raise Failure(f"omen-bench index: {told.strip()}")
    return shares(perf.counts)


def profile_search(dataset, options, recorder) -> dict:
    # More passes than there is time for: it is ended afterwards.
    command = [*in_process(dataset, options, recorder, bulk=True), "--repeats", 1_000_000]
    process = start(command, recorder)
    told = process.stderr.readline()
    if "searching" not in told:
        end(process)
        raise Failure(f"omen-bench index: {told.strip()}")
    with Perf(recorder, [process.pid]) as perf:
        time.sleep(options.seconds)
    end(process)
    return shares(perf.counts)


def end(process) -> None:
    if process.poll() is None:
        process.kill()
    process.communicate()


def profile_import(dataset, options, recorder) -> dict:
    with clusters.temporary_cluster(recorder, options.shards) as cluster:
        with Perf(recorder, cluster.processes().values()) as perf:
            cluster.import_vectors(dataset.files["base"], dataset.metric)
        return shares(perf.counts)


def profile_cluster(dataset, options, recorder) -> dict:
    with clusters.temporary_cluster(recorder, options.shards) as cluster:
        cluster.import_vectors(dataset.files["base"], dataset.metric)
        with Perf(recorder, cluster.processes().values()) as perf:
            load.search(cluster, dataset, options.clients, options.ef, options.seconds)
        return shares(perf.counts)


def shares(counts: Counter) -> dict:
    return {"samples": sum(counts.values()),
            "groups": [{"group": name, "share": share} for name, share in curves.shares(counts)]}


PARTS = {
    "search": profile_search,
    "bulk build": lambda *arguments: profile_build(*arguments, bulk=True),
    "streaming build": lambda *arguments: profile_build(*arguments, bulk=False),
    "import": profile_import,
    "cluster search": profile_cluster,
}


def table(found: dict, least: float = 0.01) -> tuple[list[str], list[list[str]]]:
    """Groups down, parts across; groups below `least` everywhere are summed up."""
    groups: dict[str, dict[str, float]] = {}
    for part, row in found.items():
        for entry in row["groups"]:
            groups.setdefault(entry["group"], {})[part] = entry["share"]
    large = {name: row for name, row in groups.items() if max(row.values()) >= least}
    small = [row for name, row in groups.items() if name not in large]
    if small:
        large["less than that"] = {part: sum(row.get(part, 0) for row in small) for part in found}
    order = sorted(large, key=lambda name: (name == "less than that", -max(large[name].values())))
    body = [[name, *(f"{large[name][part]:.1%}" if large[name].get(part, 0) >= 0.0005 else ""
                     for part in found)] for name in order]
    return ["share of samples", *found], body


def show(found: dict) -> None:
    show_table(*table(found))


def plot(result: dict) -> list:
    found = result["rows"]["shares"]
    return [plots.bars("profile", [
        {"title": part, "unit": "share",
         "values": [(entry["group"], entry["share"]) for entry in row["groups"][:8]]}
        for part, row in found.items()])]
