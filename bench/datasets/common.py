"""What the scripts in this folder share: exact neighbours, Debian packages, output files."""

import subprocess
import sys
from pathlib import Path

import numpy as np

NEIGHBOR_COUNT = 100


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def exact_neighbors(base: np.ndarray, query: np.ndarray, metric: str, k: int = NEIGHBOR_COUNT):
    """Rows of the `k` nearest base vectors of each query, by brute force; shape [queries][k], int32.

    Ascending by distance, then by row, so that every run agrees. Exact for uint8 under l2: all sums
    stay below 2^24, where float32 holds every integer.
    """
    base32, query32 = base.astype(np.float32), query.astype(np.float32)
    if metric == "cosine":
        base32 /= np.linalg.norm(base32, axis=1, keepdims=True)
        query32 /= np.linalg.norm(query32, axis=1, keepdims=True)
    norms = np.einsum("ij,ij->i", base32, base32)
    rows = np.arange(len(base), dtype=np.int64)
    found = np.empty((len(query), k), dtype=np.int32)
    block = max(1, (64 << 20) // (4 * len(base)))
    for start in range(0, len(query), block):
        part = query32[start:start + block]
        products = part @ base32.T
        if metric == "l2":
            distances = norms - 2 * products + np.einsum("ij,ij->i", part, part)[:, None]
        else:
            distances = -products
        # A wider cut first, so that ties at its end cannot push a smaller row out.
        wide = min(len(base) - 1, 2 * k)
        cut = np.argpartition(distances, wide, axis=1)[:, :wide + 1]
        for row, candidates in enumerate(cut):
            order = np.lexsort((rows[candidates], distances[row, candidates]))
            found[start + row] = candidates[order[:k]]
    return found


def save(folder: Path, name: str, base, query, metric: str) -> None:
    """Writes NAME_base.npy, NAME_query.npy and NAME_neighbors.npy."""
    folder.mkdir(parents=True, exist_ok=True)
    say(f"neighbours of {len(query)} queries among {len(base)} vectors")
    neighbors = exact_neighbors(base, query, metric)
    for part, array in [("base", base), ("query", query), ("neighbors", neighbors)]:
        path = folder / f"{name}_{part}.npy"
        np.save(path, np.ascontiguousarray(array))
        say(f"{path}: {array.shape} {array.dtype}")


def unpack_packages(names: list[str], cache: Path) -> list[Path]:
    """Downloads Debian packages and unpacks each into its own folder; installs nothing."""
    cache.mkdir(parents=True, exist_ok=True)
    folders = []
    for name in names:
        folder = cache / name
        if not folder.exists():
            say(f"downloading {name}")
            subprocess.run(["apt-get", "download", name], cwd=cache, check=True,
                           stdout=subprocess.DEVNULL)
            package = max(cache.glob(f"{name}_*.deb"), key=lambda path: path.stat().st_mtime)
            partial = cache / f"{name}.partial"
            subprocess.run(["dpkg", "-x", package, partial], check=True)
            package.unlink()
            # Only a whole unpacking gets the name that later runs look for.
            partial.rename(folder)
        folders.append(folder)
    return folders
