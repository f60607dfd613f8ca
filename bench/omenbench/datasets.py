"""Real vectors with queries and true neighbours, as bench/datasets makes them."""

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy

from omenbench.console import say
from omenbench.failure import Failure
from omenbench.paths import BENCH, DATA

# kind -> metric, file names before _base.npy from large to small, and the command that makes it.
KINDS = {
    "sift": ("l2", ["sift1m", "sift100k", "sift10k"],
             "bench/datasets/sift.py --count 1000000"),
    "text": ("cosine", ["debian60k", "debian59k", "debian20k"],
             "bench/datasets/debian_text.py --count 60000"),
}


@dataclass(frozen=True)
class Dataset:
    """Base vectors [rows][dim], queries [count][dim], rows of the 100 nearest of each query."""

    name: str
    metric: str
    files: dict[str, Path]

    @property
    def base(self):
        return numpy.load(self.files["base"], mmap_mode="r")

    @property
    def queries(self):
        return numpy.load(self.files["query"])

    @property
    def neighbors(self):
        return numpy.load(self.files["neighbors"])

    @property
    def count(self) -> int:
        return self.base.shape[0]

    @property
    def dim(self) -> int:
        return self.base.shape[1]

    def describe(self) -> dict:
        return {"name": self.name, "rows": self.count, "dim": self.dim, "metric": self.metric,
                "type": str(self.base.dtype), "queries": len(self.queries)}


def find(kind: str, folder: Path | None, count: int | None) -> Dataset:
    """The smallest set of this kind with at least `count` rows, else the largest, cut to `count`.

    A set that was cut is kept in bench/data, with neighbours computed anew.
    """
    metric, names, command = KINDS[kind]
    folders = [folder] if folder else [DATA, BENCH / "sample"]
    found = []
    for place in folders:
        for path in sorted(place.glob("*_base.npy")):
            name = path.name.removesuffix("_base.npy")
            files = {part: place / f"{name}_{part}.npy" for part in ("base", "query", "neighbors")}
            if name in names and all(file.exists() for file in files.values()):
                found.append(Dataset(name, metric, files))
    if not found:
        places = ", ".join(str(place) for place in folders)
        raise Failure(f"no {kind} vectors in {places}; make them, see bench/datasets/README.md:\n"
                      f"    {command}")
    found.sort(key=lambda dataset: dataset.count)
    large = [dataset for dataset in found if dataset.count >= (count or found[-1].count)]
    if not large:
        raise Failure(f"the largest {kind} set here has {found[-1].count:,} rows, {count:,} are "
                      f"wanted; make it:\n    {command}")
    dataset = large[0]
    return dataset if count in (None, dataset.count) else cut(dataset, count)


def cut(dataset: Dataset, count: int) -> Dataset:
    """The first `count` rows, with their own true neighbours."""
    folder = DATA / "cut"
    name = f"{dataset.name}-{count}"
    files = {part: folder / f"{name}_{part}.npy" for part in ("base", "query", "neighbors")}
    if not all(file.exists() for file in files.values()):
        say(f"cutting {count:,} rows of {dataset.name}, with their neighbours")
        folder.mkdir(parents=True, exist_ok=True)
        base = numpy.ascontiguousarray(dataset.base[:count])
        numpy.save(files["base"], base)
        numpy.save(files["query"], dataset.queries)
        numpy.save(files["neighbors"],
                   brute_force(base, dataset.queries, dataset.metric))
    return Dataset(name, dataset.metric, files)


def brute_force(base, queries, metric: str):
    """Rows of the 100 nearest of each query; what bench/datasets uses itself."""
    path = BENCH / "datasets" / "common.py"
    spec = importlib.util.spec_from_file_location("dataset_common", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["dataset_common"] = module
    spec.loader.exec_module(module)
    return module.exact_neighbors(base, queries, metric)
