"""Data that several tests use."""

import signal
from pathlib import Path

import numpy as np
import pytest

# A shell starts programs in the background so that they ignore interrupts, and the tests send some.
signal.signal(signal.SIGINT, signal.default_int_handler)

SAMPLE = Path(__file__).resolve().parents[2] / "bench" / "sample"


@pytest.fixture(scope="session")
def sift():
    """10,000 real descriptors, queries, and the true neighbours: ([n, 128] uint8, ...)."""
    return tuple(np.load(SAMPLE / f"sift10k_{part}.npy") for part in ("base", "query", "neighbors"))


@pytest.fixture(params=["memory", "path"])
def db(request, tmp_path):
    """An empty database, in memory and on a path."""
    import omendb

    with omendb.DB(None if request.param == "memory" else tmp_path / "db") as opened:
        yield opened
