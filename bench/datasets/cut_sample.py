#!/usr/bin/env python3
"""Cuts bench/sample from a large set made by sift.py.

    bench/datasets/cut_sample.py --source bench/data/sift100k

Takes the first rows (the large set is shuffled) and computes their exact neighbours anew. Checks
them against the neighbours of the large set: those of its rows that are in the sample must come in
the same order.
"""

import argparse
from pathlib import Path

import numpy as np

from common import NEIGHBOR_COUNT, exact_neighbors, save


def check(neighbors: np.ndarray, large: np.ndarray, count: int) -> int:
    """Compares the two answers where they speak of the same rows; returns how many they share."""
    shared = 0
    for row, (ours, theirs) in enumerate(zip(neighbors, large)):
        kept = theirs[theirs < count][:NEIGHBOR_COUNT]
        if not np.array_equal(ours[:len(kept)], kept):
            raise SystemExit(f"query {row}: neighbours {ours[:len(kept)]}, the large set has {kept}")
        shared += len(kept)
    return shared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", required=True, help="path and name, without _base.npy")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("bench/sample"))
    options = parser.parse_args()

    base = np.load(f"{options.source}_base.npy", mmap_mode="r")[:options.count]
    query = np.load(f"{options.source}_query.npy")[:options.queries]
    large = np.load(f"{options.source}_neighbors.npy")[:options.queries]
    shared = check(exact_neighbors(base, query, "l2"), large, options.count)
    print(f"{shared} neighbours agree with those of the large set")
    save(options.out, f"sift{options.count // 1000}k", base, query, "l2")


if __name__ == "__main__":
    main()
