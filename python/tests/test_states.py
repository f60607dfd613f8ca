"""Random histories of one database, checked against a dictionary after every step.

The database lives in a process of its own, which is killed now and then: what a call wrote that
has returned must be there afterwards.
"""

import multiprocessing
import os
import sys
import tempfile
import traceback

import hypothesis.strategies as st
import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis.errors import StopTest
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

DIM = 6
IDS = st.one_of(st.integers(0, 40), st.integers(0, 40).map(str))


def serve(pipe, path, metric):
    """Runs methods of a database that the other end names, until it is told to end."""
    import omendb

    with omendb.DB(path, metric=metric) as db:
        pipe.send("open")
        while (call := pipe.recv()) is not None:
            name, arguments, options = call
            pipe.send(getattr(db, name)(*arguments, **options))
    pipe.send("closed")


class Remote:
    """A database in another process."""

    def __init__(self, path, metric):
        self.path, self.metric = path, metric
        self.history = [f"begin {metric}"]
        self.start()

    def start(self):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, self.path, self.metric))
        self.process.start()
        theirs.close()
        assert self.pipe.recv() == "open"

    def call(self, name, *arguments, **options):
        self.history.append(f"{name} {arguments} {options}"[:200])
        self.pipe.send((name, arguments, options))
        return self.pipe.recv()

    def close(self):
        self.history.append("close")
        self.pipe.send(None)
        assert self.pipe.recv() == "closed"
        self.process.join()

    def kill(self):
        self.history.append("kill")
        self.process.kill()
        self.process.join()


class Histories(RuleBasedStateMachine):
    @initialize(metric=st.sampled_from(["l2", "cosine"]))
    def begin(self, metric):
        self.folder = tempfile.TemporaryDirectory()
        self.metric = metric
        self.model = {}
        self.db = Remote(os.path.join(self.folder.name, "db"), metric)

    def teardown(self):
        # What fails only sometimes is reported as inconsistent, without its cause.
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, StopTest):
            print(*getattr(getattr(self, "db", None), "history", []), sep="\n")
            traceback.print_exception(error, file=sys.stdout)
        if hasattr(self, "db"):
            self.db.kill()
            self.folder.cleanup()

    @staticmethod
    def vector(seed):
        return np.random.default_rng(seed).random(DIM, np.float32)

    @rule(id=IDS, seed=st.integers(0, 10_000))
    def add(self, id, seed):
        self.db.call("add", id, self.vector(seed), {"seed": seed})
        self.model[id] = seed

    @rule(ids=st.lists(IDS, min_size=1, max_size=30), seed=st.integers(0, 10_000))
    def upsert_batch(self, ids, seed):
        seeds = [seed + i for i in range(len(ids))]
        vectors = np.stack([self.vector(one) for one in seeds])
        given = self.db.call("upsert_batch", vectors, ids, [{"seed": one} for one in seeds])
        assert given == ids
        self.model.update(zip(ids, seeds, strict=True))

    @precondition(lambda self: len(self.model) < 1000)
    @rule(seed=st.integers(0, 10_000))
    def add_many(self, seed):
        """So many that searches walk the graph."""
        ids = list(range(1000, 1500))
        seeds = [seed + i for i in range(len(ids))]
        vectors = np.stack([self.vector(one) for one in seeds])
        self.db.call("add_batch", vectors, ids, [{"seed": one} for one in seeds])
        self.model.update(zip(ids, seeds, strict=True))

    @rule(ids=st.lists(IDS, max_size=10, unique=True))
    def delete(self, ids):
        there = [id for id in ids if id in self.model]
        assert self.db.call("delete_batch", ids) == len(there)
        for id in there:
            del self.model[id]

    @precondition(lambda self: len(self.model) > 20)
    @rule()
    def clear(self):
        self.db.call("clear")
        self.model = {}

    @rule()
    def checkpoint(self):
        self.db.call("checkpoint")

    @rule()
    def close_and_reopen(self):
        self.db.close()
        self.db.start()

    @rule()
    def kill(self):
        self.db.kill()
        self.db.start()

    @invariant()
    def has_what_was_written(self):
        if not hasattr(self, "db"):
            return
        assert self.db.call("count") == len(self.model)
        ids = self.db.call("list_ids")
        assert len(ids) == len(set(ids)) and set(ids) == set(self.model)
        for id, record in zip(ids, self.db.call("get_many", ids), strict=True):
            assert record.metadata == {"seed": self.model[id]}
            assert np.array_equal(record.vector, self.vector(self.model[id]))

    @invariant()
    def answers_right(self):
        if not hasattr(self, "db"):
            return
        query = self.vector(77)
        ids = list(self.model)
        data = np.stack([self.vector(self.model[id]) for id in ids]) if ids else np.empty((0, DIM))
        if self.metric == "l2":
            distances = ((data - query) ** 2).sum(1)
        else:
            norms = np.linalg.norm(data, axis=1) * np.linalg.norm(query)
            distances = 1 - data @ query / norms
        hits = self.db.call("search", query, 5, exact=True)
        assert len({hit.id for hit in hits}) == len(hits) == min(5, len(ids))
        expected = sorted(distances)[:5]
        np.testing.assert_allclose([hit.distance for hit in hits], expected, atol=1e-5)
        near = self.db.call("search", query, 5, ef=16)
        assert len({hit.id for hit in near}) == len(near) == len(hits)
        if hits:
            limit = hits[-1].distance + 1e-6
            # Recall: equal distances may come in either order.
            assert sum(hit.distance <= limit for hit in near) >= 0.8 * len(hits)


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=int(os.environ.get("OMENDB_HISTORIES", "15")),
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
