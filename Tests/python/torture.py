"""Kills processes under concurrent writes and counts what was promised and is not kept.

    scripts/torture                                      200 kills of each of the nine combinations
    scripts/torture --victim worker --durability none --kills 1000 --seed 7

Writers own disjoint ids and keep a model of what they were promised outside the killed processes;
after each burst of kills everything stored is compared with it. Prints one row for each combination
of victim and durability, and exits 1 when one of them broke a promise.
"""

import argparse
import contextlib
import random
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from harness import Cluster, kill, temporary_cluster, wait_gone
from model import DIM, Model, Verdict, check, metadata, vector
from omen_wire import READY, UNKNOWN_OUTCOME, Client, OmenError

VICTIMS = ["worker", "coordinator", "everything"]
DURABILITIES = ["always", "interval", "none"]
COLLECTION = "torture"
CONFIG = Path(__file__).parent / "clusters/torture.toml"


class Writer(threading.Thread):
    """Writes versions of its own ids and notes what it was promised."""

    def __init__(self, number, socket_path, seed):
        super().__init__(daemon=True)
        self.number = number
        self.socket_path = socket_path
        self.random = random.Random(seed * 1000 + number)
        self.model = Model()
        self.deleted_versions = set()
        self.version = 0
        self.client = None
        self.client_id = self.random.getrandbits(63) | 1
        self.sequence = 0
        self.acknowledged = 0
        self.retried = 0
        self.gate = threading.Event()
        self.idle = threading.Event()
        self.finished = False
        self.error = None

    def run(self):
        try:
            while not self.finished:
                if not self.gate.is_set():
                    self.idle.set()
                    self.gate.wait(0.05)
                    continue
                self.idle.clear()
                self.step()
        except Exception as error:  # Reported by the main thread, which fails the run.
            self.error = error
            self.idle.set()

    def connect(self):
        while self.client is None and not self.finished:
            try:
                self.client = Client(self.socket_path, 60.0, self.client_id)
            except OSError:
                time.sleep(0.01)

    def step(self):
        ids = [self.number * 1_000_000 + self.random.randrange(1000) for _ in range(20)]
        ids = sorted(set(ids))
        self.version += 1
        delete = self.random.random() < 0.15
        for record in ids:
            self.model.begin(record, self.version)
            if delete:
                self.deleted_versions.add((record, self.version))
        if delete:
            operation = Client.delete_operation(COLLECTION, ids)
        else:
            operation = Client.upsert_operation(
                COLLECTION, ids, b"".join(vector(i, self.version) for i in ids), DIM, element=1,
                metadata=[metadata(i, self.version) for i in ids],
            )
        self.sequence += 1
        self.attempt(operation, (self.client_id, self.sequence), ids)

    def attempt(self, operation, key, ids):
        """Sends the write until its outcome is known; gives up now and then, as clients do."""
        while not self.finished:
            self.connect()
            if self.client is None:
                return
            try:
                _, _, failures = self.client.write(operation, key)
                codes = {code for _, code, _ in failures}
            except OmenError as error:
                codes = {error.code}
            except (OSError, ConnectionError):
                self.client.close()
                self.client = None
                codes = {UNKNOWN_OUTCOME}
            if not codes:
                for record in ids:
                    self.model.commit(record, self.version)
                self.acknowledged += len(ids)
                return
            if self.random.random() < 0.2:
                return
            self.retried += 1
            time.sleep(0.01)

    def pause(self):
        self.gate.clear()

    def resume(self):
        self.gate.set()


@dataclass
class Options:
    victim: str
    durability: str
    kills: int
    seed: int
    burst: int = 10
    shards: int = 4
    writers: int = 4
    config: str = str(CONFIG)


@dataclass
class Result:
    """What one run did and found; `verdict` is that of the first broken comparison, or clean."""

    options: Options
    verdict: Verdict
    kills: int = 0
    checks: int = 0
    acknowledged: int = 0
    retries: int = 0
    slowest_recovery: float = 0.0
    # The fewest writes acknowledged between two comparisons: 0 would prove nothing.
    fewest_per_round: int = 0


class Torture:
    def __init__(self, options: Options):
        self.options = options
        self.random = random.Random(options.seed)
        self.result = Result(options, Verdict())

    def run(self) -> Result:
        options, result = self.options, self.result
        with temporary_cluster() as cluster:
            self.start(cluster)
            with contextlib.closing(cluster.connect()) as client:
                client.write(Client.create_operation(COLLECTION, DIM, element=1))
            writers = [Writer(number, cluster.socket, options.seed)
                       for number in range(options.writers)]
            for writer in writers:
                writer.start()
            rounds = []
            try:
                while result.kills < options.kills and result.verdict.ok:
                    rounds.append(self.round(cluster, writers))
            finally:
                for writer in writers:
                    writer.finished = True
                    writer.gate.set()
            result.acknowledged = sum(writer.acknowledged for writer in writers)
            result.retries = sum(writer.retried for writer in writers)
            result.fewest_per_round = min(rounds)
            return result

    def start(self, cluster: Cluster) -> None:
        options = self.options
        cluster.start("--shards", options.shards, "--durability", options.durability,
                      "--config", options.config)

    def round(self, cluster: Cluster, writers: list[Writer]) -> int:
        """A burst of kills under load, then silence and a full comparison."""
        result = self.result
        before = sum(writer.acknowledged for writer in writers)
        for writer in writers:
            writer.resume()
        for _ in range(min(self.options.burst, self.options.kills - result.kills)):
            time.sleep(self.random.uniform(0.02, 0.25))
            victim = self.strike(cluster)
            result.kills += 1
        result.slowest_recovery = max(result.slowest_recovery, cluster.wait_until(
            lambda workers: all(state == READY and pid != victim
                                for _, pid, state, _, _ in workers)))
        for writer in writers:
            writer.pause()
        for writer in writers:
            assert writer.idle.wait(90), f"writer {writer.number} hangs"
            if writer.error:
                raise writer.error
        deleted = set().union(*(writer.deleted_versions for writer in writers))
        with contextlib.closing(cluster.connect()) as client:
            result.verdict = check(
                client, COLLECTION, [writer.model for writer in writers], deleted)
        result.checks += 1
        if self.random.random() < 0.3:
            cluster.run("checkpoint")
        return sum(writer.acknowledged for writer in writers) - before

    def strike(self, cluster: Cluster) -> int:
        """Kills one victim that lives, however long it takes to find one; returns its number."""
        if self.options.victim == "worker":
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                pids = [pid for _, pid, _, _, _ in cluster.members()[1] if pid]
                if pids and kill(pid := self.random.choice(pids)):
                    return pid
                time.sleep(0.005)
            raise AssertionError(f"no worker to kill for 30 s\n{cluster.log()}")
        pid, workers = cluster.members()
        if self.options.victim == "coordinator":
            assert kill(pid), "the coordinator had ended by itself"
            # Its workers leave with it; only then is the data free for the next one.
            wait_gone([pid, *(worker[1] for worker in workers)])
        else:
            assert cluster.processes(), "the cluster had ended by itself"
            cluster.kill_all()
        self.start(cluster)
        return pid


HEADINGS = ["victim", "durability", "seed", "kills", "checks", "acknowledged", "retries",
            "recovery s", "lost", "phantoms", "duplicates", "wrong"]


def row(result: Result) -> list[str]:
    options, verdict = result.options, result.verdict
    return [options.victim, options.durability, str(options.seed), str(result.kills),
            str(result.checks), str(result.acknowledged), str(result.retries),
            f"{result.slowest_recovery:.3f}", str(len(verdict.lost)), str(len(verdict.phantoms)),
            str(len(verdict.duplicates)), str(len(verdict.wrong))]


def show(cells: list[str]) -> None:
    print("  ".join(cell.rjust(max(len(heading), 11)) for cell, heading in zip(cells, HEADINGS)),
          flush=True)


def parse(arguments=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="torture", description=__doc__.splitlines()[0])
    parser.add_argument("--victim", choices=VICTIMS, help="otherwise each in turn")
    parser.add_argument("--durability", choices=DURABILITIES, help="otherwise each in turn")
    parser.add_argument("--kills", type=int, default=200, help="of each combination")
    parser.add_argument("--burst", type=int, default=10, help="kills between two comparisons")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--config", default=str(CONFIG), help="TOML file for the cluster")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    return parser.parse_args(arguments)


def main() -> int:
    options = parse()
    kept = True
    show(HEADINGS)
    for victim in [options.victim] if options.victim else VICTIMS:
        for durability in [options.durability] if options.durability else DURABILITIES:
            result = Torture(Options(victim, durability, options.kills, options.seed, options.burst,
                                     options.shards, options.writers, options.config)).run()
            show(row(result))
            if not result.verdict.ok:
                print(f"after {result.kills} kills:\n{result.verdict.details()}", file=sys.stderr)
            if result.fewest_per_round == 0:
                print("a round without an acknowledged write proves nothing", file=sys.stderr)
            kept = kept and result.verdict.ok and result.fewest_per_round > 0
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
