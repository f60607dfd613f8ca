"""What both migrations need: real vectors with ids, and a table of two databases' answers."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omendb import BatchResult

SAMPLE = Path(__file__).resolve().parent.parent / "bench" / "sample"
LIMIT = 10

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]


def sample() -> tuple[Floats, Ids, Floats]:
    """Vectors, [10000, 128], their ids, which are not the numbers of their rows, and queries."""
    base, queries = (np.load(SAMPLE / f"sift10k_{part}.npy") for part in ("base", "query"))
    ids = np.random.default_rng(1).permutation(len(base)) + 5_000_000
    return base.astype(np.float32), ids, queries.astype(np.float32)


def heading(other: str) -> None:
    print(f"{'metric':8}{'queries':>9}{'recall ' + other:>17}{'recall omendb':>15}", end="")
    print(f"{'overlap':>9}{'distances differ by':>21}")


def compare(metric: str, truth: Ids, ids: Ids, distances: Floats, found: BatchResult) -> None:
    """Prints a line: recall@10 of both, what they share, and how far, relative to them,
    distances are apart.

    `distances` are the other's, put as ours are; where both found an id, they are compared.
    """

    def shared(a: Ids, b: Ids) -> float:
        pairs = zip(a, b, strict=True)
        return float(np.mean([len(np.intersect1d(x, y)) / LIMIT for x, y in pairs]))

    ours = found.ids.astype(np.int64)
    same = ids == ours
    apart = np.abs(distances[same] - found.distances[same]) / np.abs(found.distances[same])
    print(f"{metric:8}{len(same):>9}{shared(ids, truth):>17.4f}", end="")
    print(f"{shared(ours, truth):>15.4f}{shared(ids, ours):>9.4f}{apart.max():>21.1e}")
