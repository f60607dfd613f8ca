"""What the documentation shows works as written, also from an installed wheel."""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from omendb import _library

ROOT = Path(__file__).resolve().parents[2]


def programs(path):
    return re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL)


@pytest.mark.parametrize("name", ["README.md", "python/README.md"])
def test_examples(name, tmp_path):
    found = programs(ROOT / name)
    assert found
    for program in found:
        subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)


def test_an_installed_wheel(tmp_path):
    """In an environment of its own, without the checkout: what a user has after pip."""
    built = tmp_path / "built"
    built.mkdir()
    (built / "libOmenDB.so").symlink_to(_library.path().resolve())
    (built / "omen-cluster").symlink_to(Path(os.environ["OMENDB_CLUSTER"]).resolve())
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "OMENDB_LIBRARY", "OMENDB_CLUSTER")
    }
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, ROOT / "python"], env={**clean, "OMENDB_PREBUILT": str(built)}, check=True
    )
    for program in programs(ROOT / "README.md"):
        done = subprocess.run(
            [python, "-c", program],
            cwd=tmp_path,
            env=clean,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-2:] == ["(100, 10) float32", "cat"]
    # Importing stays fast as long as it brings few other modules along.
    brought = subprocess.run(
        [
            python,
            "-c",
            "import sys, numpy; before = set(sys.modules); import omendb; "
            "print(*set(sys.modules) - before)",
        ],
        env=clean,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {"asyncio", "pandas", "langchain_core", "haystack"} & set(brought), brought
    assert len(brought) < 100, brought
