"""A small part of `bench/run hard`, without its times: what hnswlib finds at a width, ours does."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "bench"))
from omenbench import hard_process, hard_rule, hard_sets

ROWS = 3000
# Of processor time, on a debug build or a busy machine.
NOT_TOLD_HERE = "equal time"


@pytest.mark.parametrize(
    ("name", "metric", "way"),
    [
        ("gauss-128", "l2", "streamed"),
        ("duplicates-0.9999", "cosine", "bulk"),
        ("duplicates-0.9999", "cosine", "streamed"),
        ("equal-100", "ip", "bulk"),
        ("one-hot-64", "l2", "streamed"),
        ("lengths-0.5", "ip", "bulk"),
        ("counts", "l2", "bulk"),
        ("by-cluster", "l2", "streamed"),
        ("far-later", "cosine", "streamed"),
        ("gap", "cosine", "bulk"),
    ],
)
def test_hard_sets_hold_the_rule(name, metric, way, monkeypatch):
    # Passes are for times.
    monkeypatch.setattr(hard_process, "PASSES", 1)
    hard = hard_sets.SETS[name]
    arrays = hard_process.Arrays(hard, metric, ROWS, hard_sets.SEED, query_step=2)
    peers = {}
    hard_process.measure_peers(hard, arrays, metric, ["hnswlib"], peers)
    ours = hard_process.measure_ours(hard, arrays, metric, None, way == "streamed")
    found = hard_rule.complaints(ours, peers["hnswlib"])
    if hard.like_rows:
        found += hard_rule.broken_promises(ours)
    assert [one for one in found if NOT_TOLD_HERE not in one] == []
