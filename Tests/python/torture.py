"""Kills processes under concurrent writes and proves that nothing acknowledged is lost.

    torture.py --kills 200 --durability always --victim worker --seed 1

Writers own disjoint ids and keep a model of what they were promised outside the killed processes;
after each round everything stored is compared with it. Exits 1 on the first broken promise.
"""

import argparse
import json
import random
import sys
import threading
import time
from pathlib import Path

from cluster import Cluster, kill, wait_gone
from model import DIM, Model, check, metadata, vector
from omen_wire import Client, OmenError, UNKNOWN_OUTCOME

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


class Torture:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.kills = 0
        self.recoveries = []
        self.checks = 0

    def run(self):
        options = self.options
        with Cluster(options.shards, options.durability, config=options.config) as cluster:
            cluster.start()
            client = cluster.connect()
            client.write(Client.create_operation(COLLECTION, DIM, element=1))
            client.close()
            writers = [
                Writer(number, cluster.socket, options.seed) for number in range(options.writers)
            ]
            for writer in writers:
                writer.start()
            try:
                while self.kills < options.kills:
                    self.round(cluster, writers)
            finally:
                for writer in writers:
                    writer.finished = True
                    writer.gate.set()
            return self.report(writers)

    def round(self, cluster, writers):
        """A burst of kills under load, then silence and a full comparison."""
        before = sum(writer.acknowledged for writer in writers)
        for writer in writers:
            writer.resume()
        for _ in range(min(self.options.burst, self.options.kills - self.kills)):
            time.sleep(self.random.uniform(0.02, 0.25))
            self.strike(cluster)
        for writer in writers:
            writer.pause()
        for writer in writers:
            assert writer.idle.wait(90), f"writer {writer.number} hangs"
            if writer.error:
                raise writer.error
        self.recoveries.append(cluster.wait_ready())
        written = sum(writer.acknowledged for writer in writers) - before
        assert written > 0, "no write was acknowledged in this round: it proves nothing"
        client = cluster.connect()
        deleted = set().union(*(writer.deleted_versions for writer in writers))
        verdict = check(client, COLLECTION, [writer.model for writer in writers], deleted)
        client.close()
        self.checks += 1
        if not verdict.ok:
            raise AssertionError(f"after {self.kills} kills: {verdict}\n{verdict.details()}")
        if self.random.random() < 0.3:
            cluster.command("checkpoint")

    def strike(self, cluster):
        self.kills += 1
        if self.options.victim == "worker":
            workers = [worker for worker in cluster.workers() if worker[1]]
            if workers:
                kill(self.random.choice(workers)[1])
            return
        if self.options.victim == "coordinator":
            pid, workers = cluster.connect().status()
            kill(pid)
            # Its workers leave with it; only then is the data free for the next one.
            wait_gone([pid, *(worker[1] for worker in workers)])
        else:
            cluster.kill_everything()
        cluster.start()

    def report(self, writers):
        return {
            "victim": self.options.victim,
            "durability": self.options.durability,
            "seed": self.options.seed,
            "kills": self.kills,
            "checks": self.checks,
            "acknowledged_writes": sum(writer.acknowledged for writer in writers),
            "retries": sum(writer.retried for writer in writers),
            "slowest_recovery_seconds": round(max(self.recoveries), 3),
            "lost": 0,
            "phantoms": 0,
            "duplicates": 0,
        }


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--burst", type=int, default=10, help="kills between two comparisons")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--durability", default="always")
    parser.add_argument("--victim", choices=["worker", "coordinator", "everything"], default="worker")
    parser.add_argument("--config", default=str(CONFIG), help="TOML file for the cluster")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    options = parse()
    print(f"seed {options.seed}", file=sys.stderr)
    print(json.dumps(Torture(options).run()))
