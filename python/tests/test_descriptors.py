"""A cluster that cannot be started for want of file descriptors says so at once."""

import resource
import subprocess
import sys

import pytest

PROGRAM = """
import sys, omendb
try:
    omendb.DB(sys.argv[1], shards=int(sys.argv[2]))
except omendb.DatabaseError as error:
    print(error)
"""


@pytest.mark.parametrize(("shards", "limit"), [(1, 20), (2, 24), (8, 32)])
def test_few_descriptors(tmp_path, shards, limit):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "db"), str(shards)],
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)),
    )
    assert done.returncode == 0, done.stderr
    assert "descriptors" in done.stdout and f"{limit} are allowed" in done.stdout
    assert not (tmp_path / "db" / "cluster.manifest").exists()
