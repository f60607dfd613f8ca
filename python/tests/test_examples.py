"""The programs in examples/ run, and what they print is right."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import omendb

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
REFERENCE = Path(__file__).parent / "data" / "minilm_reference.npz"


def run(name, *arguments, cwd, fails=False, **environment):
    """What the program wrote: to stdout, or to stderr when it must fail."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stderr
    return done.stderr if fails else done.stdout


@pytest.fixture(scope="module")
def model():
    """The sentence encoder, loaded once."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        return importlib.import_module("minilm").MiniLM()
    finally:
        sys.path.remove(str(EXAMPLES))


def test_quickstart(tmp_path):
    shown = run("quickstart.py", cwd=tmp_path)
    assert float(re.search(r"recall@10 ([\d.]+)", shown)[1]) > 0.95
    assert "exact as brute force: True" in shown
    assert "opened again: 9999 records; Record(id=7, metadata={'row': 7, 'note': 'seen'}" in shown
    assert "10000 records in a cluster of 2: [6830, 203, 7207]" in shown


def test_the_encoder_agrees_with_sentence_transformers(model):
    """Texts, and their vectors as that library made them: float16, of length 1."""
    reference = np.load(REFERENCE)
    vectors = model.encode(reference["texts"].tolist())
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    expected = reference["vectors"].astype(np.float32)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert (vectors * expected).sum(axis=1).min() > 0.9999
    # Alone, without the padding that it had among the others.
    assert np.allclose(model.encode(reference["texts"][:1].tolist()), vectors[:1], atol=1e-5)
    assert model.encode([]).shape == (0, 384)


def test_semantic_search(model, tmp_path):
    path = tmp_path / "games.db"
    arguments = ["play chess", "car racing", "--section", "games", "--count", 500, "--path", path]
    first = run("semantic_search.py", *arguments, cwd=tmp_path)
    assert "encoded 500 of 500" in first
    answers = {part.split("\n")[0]: part.split("\n")[1] for part in first.split("\n\n")[1:]}
    # The nearest of the games, whichever apt has: there are dozens of each kind.
    assert "chess" in answers["play chess"].lower()
    assert re.search(r"rac(e|ing)", answers["car racing"].lower())

    again = run("semantic_search.py", *arguments, cwd=tmp_path)
    assert "encod" not in again
    assert again.split("\n\n")[1:] == first.split("\n\n")[1:]

    with omendb.DB(path) as db:
        ids, vectors = db.to_numpy()
        query = model.encode(["play chess"])[0]
        hits = db.search(query, limit=10)
        nearest = ids[np.argsort(-(vectors @ query))[:10]]
        assert len({hit.id for hit in hits} & set(nearest)) >= 9
        assert {"package", "section", "installed_size", "summary"} == set(hits[0].metadata)
        assert hits[0].metadata["section"] == "games"


def test_semantic_search_says_what_to_do_without_package_lists(tmp_path):
    (tmp_path / "lists").mkdir()
    configuration = tmp_path / "apt.conf"
    configuration.write_text(
        f'Dir::State::lists "{tmp_path}/lists";\nDir::Cache "{tmp_path}/cache";\n'
    )
    shown = run("semantic_search.py", cwd=tmp_path, fails=True, APT_CONFIG=str(configuration))
    assert "apt-get update" in shown
    assert "Traceback" not in shown


def test_image_descriptors(tmp_path):
    shown = run("image_descriptors.py", cwd=tmp_path)
    assert "84 of 84 recognised" in shown
    rows = re.findall(
        r"^(\w+) +(.+?)  +(\w+) +(\d+)/(\d+) +(-?\d+) +([\d.]+)$", shown, re.MULTILINE
    )
    assert len(rows) == 84
    done = {"turned by 35": (35, 1), "scaled to 0.6": (0, 0.6), "turned, scaled": (-70, 0.7)}
    for picture, change, recognised, votes, cast, degrees, scale in rows:
        assert recognised == picture
        assert int(votes) > 20
        assert int(votes) > 0.9 * int(cast)
        turn, size = done.get(change, (0, 1))
        assert abs(int(degrees) - turn) <= 2, (picture, change)
        assert abs(float(scale) - size) <= 0.03, (picture, change)


@pytest.mark.parametrize(
    ("name", "metrics"), [("hnswlib", ["l2", "ip", "cosine"]), ("faiss", ["l2", "ip"])]
)
def test_migrations(name, metrics, tmp_path):
    shown = run(f"migrate_from_{name}.py", cwd=tmp_path)
    rows = [line.split() for line in shown.splitlines()[1:]]
    assert [row[0] for row in rows] == metrics
    for _, queries, before, after, overlap, apart in rows:
        assert int(queries) == 200
        assert float(before) > 0.97
        assert float(after) > 0.97
        assert float(overlap) > 0.96
        assert float(apart) < 1e-3
