"""A cluster in a temporary directory: its commands, processes, memory and processor time."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from omenbench.binaries import binary
from omenbench.failure import Failure

# Socket paths have at most 107 bytes, so the directory is a short one; OMEN_SCRATCH moves it.
SCRATCH = os.environ.get("OMEN_SCRATCH") or tempfile.gettempdir()


class Cluster:
    """One data directory; `start` and `stop` as a user types them."""

    def __init__(self, folder: Path, recorder):
        self.folder = folder
        self.recorder = recorder
        self.binary = binary("omen-cluster")

    @property
    def socket(self) -> str:
        return str(self.folder / "omen.sock")

    def call(self, *arguments, codes=(0,)):
        """The command's JSON, or None where it printed none."""
        words = [str(self.binary), *map(str, arguments), "--data", str(self.folder), "--json"]
        self.recorder.note_command(["omen-cluster", *arguments, "--data", "DIR", "--json"])
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode not in codes:
            sys.stderr.write(self.log())
            raise Failure(f"{' '.join(words)}: exit {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout) if done.stdout else None

    def start(self, shards: int | None = None) -> None:
        self.call("start", *(["--shards", shards] if shards else []))

    def stop(self) -> None:
        self.call("stop")

    def status(self) -> dict:
        return self.call("status")

    def import_vectors(self, base, metric: str) -> dict:
        """Seconds until all was durable, and until all was in the graph."""
        return self.call("import", base, "--metric", metric, "--wait-indexed")

    def counts(self) -> dict:
        """Rows, linked rows and deleted rows of all shards and collections."""
        total = {"vectors": 0, "rows": 0, "linked": 0, "deleted": 0}
        for shard in self.status()["shards"]:
            for collection in shard["collections"].values():
                for key in total:
                    total[key] += collection[key]
        return total

    def wait_linked(self, seconds: float = 1800) -> float:
        """Waits until every row is in the graph; returns how long that took."""
        start = time.perf_counter()
        while True:
            counts = self.counts()
            if counts["linked"] >= counts["rows"]:
                return time.perf_counter() - start
            if time.perf_counter() - start > seconds:
                raise Failure(f"{counts['linked']:,} of {counts['rows']:,} rows are linked after "
                              f"{seconds:.0f} s")
            time.sleep(0.02)

    def processes(self) -> dict[str, int]:
        """Process numbers: `coordinator`, `shard 0` and so on."""
        status = self.status()
        found = {"coordinator": status["coordinator"]["pid"]}
        for shard in status["shards"]:
            found[f"shard {shard['shard']}"] = shard["pid"]
        return found

    def file_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def log(self) -> str:
        try:
            text = (self.folder / "coordinator.log").read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.split("\n")[-20:]) + "\n"

    def kill(self) -> None:
        """Ends whatever is left of it, by process number."""
        wanted = str(self.folder).encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    if wanted in (entry / "cmdline").read_bytes().split(b"\0"):
                        os.kill(int(entry.name), 9)


@contextlib.contextmanager
def temporary_cluster(recorder, shards: int):
    """A running cluster, gone with its files afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="omen-", dir=SCRATCH))
    cluster = Cluster(folder / "data", recorder)
    try:
        cluster.start(shards)
        yield cluster
    finally:
        cluster.kill()
        shutil.rmtree(folder, ignore_errors=True)


def cpu_seconds(pids) -> float:
    """Processor time of processes since they began, all threads, in nanoseconds' resolution."""
    total = 0.0
    for pid in pids:
        # The kernel's number of a process's clock (clock_getcpuclockid).
        total += time.clock_gettime((~pid << 3) | 2)
    return total


def memory(pids) -> dict[str, int]:
    """Resident bytes of processes together, from smaps_rollup.

    `pss` counts a page that several share by its share; `anonymous` is what no file backs.
    """
    wanted = {"Rss": "rss", "Pss": "pss", "Pss_Anon": "anonymous", "Pss_File": "file"}
    total = dict.fromkeys(wanted.values(), 0)
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in wanted:
                total[wanted[name]] += int(rest.split()[0]) * 1024
    return total


def drop_from_cache(folder: Path) -> None:
    """Asks the system to forget the files' pages, as after a restart of the machine."""
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def scratch_file_system() -> str:
    """The kind of file system that clusters are measured on."""
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, found, *_ = line.split()
        inside = SCRATCH == place or SCRATCH.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= len(best):
            best, kind = place, found
    return kind
