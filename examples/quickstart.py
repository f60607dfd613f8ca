#!/usr/bin/env python3
"""From no database to an answer, a change, the same answer after a restart, and a cluster.

    pip install -r examples/requirements.txt
    examples/quickstart.py

A notebook as a plain script: VS Code and PyCharm run its `# %%` cells one by one, and Jupyter does
with jupytext. The vectors are 10,000 SIFT descriptors of real pictures, with 200 queries and their
true neighbours.
"""

# %% The vectors are uint8, [10000, 128]; `neighbors` has the rows of each query's nearest.
import tempfile
from pathlib import Path

import numpy as np

import omendb

# Notebooks have no __file__; there the working folder is taken for the checkout.
ROOT = Path(globals().get("__file__", "examples/quickstart.py")).resolve().parents[1]
SAMPLE = ROOT / "bench" / "sample"
base, queries, neighbors = (
    np.load(SAMPLE / f"sift10k_{part}.npy") for part in ("base", "query", "neighbors")
)
print("vectors", base.shape, base.dtype, "queries", queries.shape)

# %% A database on a path, made when it is not there. Arrays are read where they lie.
folder = tempfile.TemporaryDirectory()
path = Path(folder.name, "sift.db")

db = omendb.DB(path, metric="l2")
db.add_batch(
    base, range(len(base)), [{"row": i, "mean": float(v.mean())} for i, v in enumerate(base)]
)
print(db)

# %% One query: hits with metadata, nearest first. For l2, distances are squared.
for hit in db.search(queries[0], limit=3):
    print(hit.id, hit.distance, hit.metadata)

# %% Many queries: arrays of ids and distances, [200, 10]. How many of the true ten are there?
found = db.search_batch(queries, limit=10)
pairs = zip(found.ids, neighbors[:, :10], strict=True)
recall = np.mean([len(np.intersect1d(ids, true)) / 10 for ids, true in pairs])
print(f"recall@10 {recall:.3f}")
assert recall > 0.95

# %% Quality is asked for per search: `recall`, or `ef` candidates, or every vector with `exact`.
exact = db.search_batch(queries, limit=10, exact=True)
assert (np.sort(exact.distances) == exact.distances).all()
print("exact as brute force:", bool((exact.ids == neighbors[:, :10]).all()))

# %% Records change and go; each call is on disk when it returns.
db.update(7, metadata={"row": 7, "note": "seen"})
db.update(8, vector=queries[0])
nearest = db.search(queries[0], limit=1)[0]
assert (nearest.id, nearest.distance) == (8, 0)
db.delete(8)
assert db.search(queries[0], limit=1)[0].id == neighbors[0, 0]
print(len(db), "records;", db.get(7, with_vector=False))

# %% With pandas: a table of ids, vectors and metadata.
print(db.to_pandas().head(3))

# %% Closed, and opened again: everything is there.
db.close()
with omendb.DB(path) as db:
    print("opened again:", len(db), "records;", db.get(7, with_vector=False))

# %% The same calls on a cluster of two processes, here a temporary one.
with omendb.DB(shards=2) as cluster:
    cluster.add_batch(base, range(len(base)))
    hits = cluster.search(queries[0], limit=3)
    print(f"{len(cluster)} records in a cluster of 2:", [hit.id for hit in hits])
    assert [hit.id for hit in hits] == list(neighbors[0, :3])

folder.cleanup()
