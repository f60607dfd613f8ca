#!/usr/bin/env python3
"""SIFT descriptors of wallpapers packaged in Debian: uint8, 128 dimensions, L2.

    pip install -r bench/datasets/requirements.txt
    bench/datasets/sift.py --count 1000000 --out bench/data

Writes siftN_base.npy, siftN_query.npy and siftN_neighbors.npy, where N is the count (100k, 1m).
All packages together give some 1.2 million distinct descriptors.
"""

import argparse
import re
from pathlib import Path

import cv2
import numpy as np

from common import say, save, unpack_packages

PACKAGES = [
    "gnome-backgrounds", "mate-backgrounds", "plasma-workspace-wallpapers", "ukui-wallpapers",
    "lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04", "sway-backgrounds",
]
WIDTH_MAX = 3840


def images(folder: Path) -> list[Path]:
    """One file per picture: the largest up to WIDTH_MAX wide where a package has many sizes."""
    best: dict[str, tuple[int, Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or path.suffix.lower() not in {".jpg", ".jpeg", ".png", ".webp"}:
            continue
        size = re.search(r"(\d{3,5})x(\d{3,5})", path.stem)
        # Sizes share a folder and differ in the name; everything else is a picture of its own.
        key = str(path.parent / re.sub(r"\d{3,5}x\d{3,5}", "", path.stem))
        width = int(size[1]) if size else 0
        rank = width if width <= WIDTH_MAX else -width
        if key not in best or rank > best[key][0]:
            best[key] = (rank, path)
    return [path for _, path in best.values()]


def descriptors(path: Path, sift) -> np.ndarray | None:
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        say(f"not readable: {path}")
        return None
    height, width = picture.shape
    if width > WIDTH_MAX:
        shape = (WIDTH_MAX, round(height * WIDTH_MAX / width))
        picture = cv2.resize(picture, shape, interpolation=cv2.INTER_AREA)
    _, found = sift.detectAndCompute(picture, None)
    return None if found is None else found.round().clip(0, 255).astype(np.uint8)


def short(count: int) -> str:
    for unit, name in [(1_000_000, "m"), (1_000, "k")]:
        if count >= unit and count % unit == 0:
            return f"{count // unit}{name}"
    return str(count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=100_000, help="base vectors")
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--out", type=Path, default=Path("bench/data"))
    parser.add_argument("--cache", type=Path, default=Path("bench/data/packages"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--packages", nargs="+", default=PACKAGES, metavar="NAME")
    options = parser.parse_args()

    sift = cv2.SIFT_create(contrastThreshold=0.01)
    found = []
    for folder in unpack_packages(options.packages, options.cache):
        for path in images(folder):
            part = descriptors(path, sift)
            if part is not None:
                found.append(part)
                say(f"{len(part):8} {path.relative_to(folder)}")
    if not found:
        raise SystemExit("no descriptors found")
    # Sorted by value, so what follows depends on the seed and not on the order of files.
    distinct = np.unique(np.concatenate(found), axis=0)
    wanted = options.count + options.queries
    if len(distinct) < wanted:
        raise SystemExit(f"{len(distinct)} distinct descriptors, {wanted} wanted")
    np.random.default_rng(options.seed).shuffle(distinct)
    name = f"sift{short(options.count)}"
    save(options.out, name, distinct[options.queries:wanted], distinct[:options.queries], "l2")


if __name__ == "__main__":
    main()
