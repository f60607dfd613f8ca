"""Databases in a control group with little memory: what does not fit is refused, nobody killed."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

LIMIT = 400 << 20


def own_directory(controller: str) -> Path | None:
    """This process's group of a controller of version 1, where it is usually mounted."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return Path(f"/sys/fs/cgroup/{controller}{path}")
    return None


@pytest.fixture
def group():
    """A new memory group of version 1 below this process's own."""
    own = own_directory("memory")
    path = own and own / f"omendb-test-{os.getpid()}"
    try:
        assert path is not None
        path.mkdir()
        (path / "memory.limit_in_bytes").write_text(str(LIMIT))
    except (AssertionError, OSError) as error:
        pytest.skip(f"no memory group of version 1 can be made: {error!r}")
    yield path
    # Its processes have ended.
    path.rmdir()


def run(group: Path, program: str, *arguments) -> dict:
    entry = f"open({str(group / 'cgroup.procs')!r}, 'w').write('0')\n"
    done = subprocess.run(
        [sys.executable, "-c", entry + textwrap.dedent(program), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    return json.loads(done.stdout)


def test_a_database_refuses_what_its_group_has_no_memory_for(group, tmp_path):
    path = tmp_path / "db"
    count, error = run(
        group,
        """
        import json, sys
        import numpy as np, omendb

        part = np.random.default_rng(3).integers(0, 256, (20_000, 128), np.uint8)
        with omendb.DB(sys.argv[1], durability="none") as db:
            count = 0
            while True:
                try:
                    db.add_batch(part[:2000], range(count, count + 2000))
                except omendb.DatabaseError as raised:
                    error = str(raised)
                    break
                count += 2000
                assert count < 4_000_000
            assert len(db) >= count and db.search(part[5], 1)[0].distance == 0
            print(json.dumps([count, error]))
        """,
        path,
    )
    assert count > 10_000 and "bytes of memory" in error, (count, error)
    # And opens again with as little.
    found = run(
        group,
        """
        import json, sys
        import omendb
        with omendb.DB(sys.argv[1]) as db:
            print(json.dumps(len(db)))
        """,
        path,
    )
    assert found >= count
