#!/usr/bin/env python3
"""Image search by local descriptors: which picture is this a turned, cut or blurred copy of?

    pip install -r examples/requirements.txt
    pip install --no-deps -r examples/requirements-no-deps.txt
    examples/image_descriptors.py
    examples/image_descriptors.py --pictures FOLDER --query PICTURE

Every SIFT descriptor of every picture is a record: 128 bytes, stored as such, with the picture's
name and where in it the descriptor is from. Each descriptor of a query votes for the picture of
its nearest record, if that is much nearer than the second; the positions of those that vote for
the winner tell how the query was turned and scaled. Without a folder, the pictures are those that
come with scikit-image.
"""

import argparse
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

import omendb

Picture = NDArray[np.uint8]

# Those of scikit-image with much to describe; motorcycle_right is left out, the same from beside.
NAMES = {
    *("astronaut", "brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel"),
    *("hubble_deep_field", "ihc", "motorcycle_left", "page", "rocket", "text"),
}
# The nearest must be this much nearer than the second. Distances of l2 are squared, so this is too.
RATIO = 0.75**2

sift = cv2.SIFT_create(nfeatures=1500)


def turned(picture: Picture, degrees: float, scale: float = 1) -> Picture:
    height, width = picture.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, scale)
    return cv2.warpAffine(picture, matrix, (width, height))


def cut(picture: Picture) -> Picture:
    height, width = picture.shape
    return picture[height // 4 : height * 3 // 4, width // 4 : width * 3 // 4]


def compressed(picture: Picture) -> Picture:
    _, file = cv2.imencode(".jpg", picture // 2 + 60, [cv2.IMWRITE_JPEG_QUALITY, 20])
    return cv2.imdecode(file, cv2.IMREAD_GRAYSCALE)


COPIES: dict[str, Callable[[Picture], Picture]] = {
    "turned by 35": lambda picture: turned(picture, 35),
    "scaled to 0.6": lambda picture: cv2.resize(picture, None, fx=0.6, fy=0.6),
    "middle cut out": cut,
    "blurred": lambda picture: cv2.GaussianBlur(picture, (0, 0), 1.5),
    "pale JPEG": compressed,
    "turned, scaled": lambda picture: turned(picture, -70, 0.7),
}


class Answer(NamedTuple):
    """The picture with most votes, of how many; and what was done to it."""

    picture: str | None
    votes: int
    cast: int
    degrees: float
    scale: float


def describe(picture: Picture) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Positions, [count, 2], and descriptors, [count, 128]; SIFT's floats are whole bytes."""
    points, found = sift.detectAndCompute(picture, None)
    if found is None:
        return np.empty((0, 2), np.float32), np.empty((0, 128), np.uint8)
    return np.float32([point.pt for point in points]), found.astype(np.uint8)


def store(db: omendb.DB, name: str, picture: Picture) -> None:
    positions, descriptors = describe(picture)
    metadata = [{"picture": name, "x": x, "y": y} for x, y in positions.tolist()]
    db.add_batch(descriptors, metadata=metadata)


def recognise(db: omendb.DB, picture: Picture) -> Answer:
    positions, descriptors = describe(picture)
    votes: Counter[str] = Counter()
    matches: list[tuple[list[float], dict[str, Any]]] = []
    answers = db.search_batch(descriptors, limit=2, as_results=True)
    for position, (first, second) in zip(positions.tolist(), answers, strict=True):
        if first.distance < RATIO * second.distance:
            votes[first.metadata["picture"]] += 1
            matches.append((position, first.metadata))
    if not votes:
        return Answer(None, 0, 0, 0, 0)
    name, count = votes.most_common(1)[0]
    here = [at for at, about in matches if about["picture"] == name]
    there = [[about["x"], about["y"]] for _, about in matches if about["picture"] == name]
    degrees, scale = placement(np.float32(there), np.float32(here))
    return Answer(name, count, votes.total(), degrees, scale)


def placement(there: NDArray[np.float32], here: NDArray[np.float32]) -> tuple[float, float]:
    """The turn in degrees, to the left, and the scale, on which most of the points agree."""
    matrix = cv2.estimateAffinePartial2D(there, here)[0] if len(there) >= 3 else None
    if matrix is None:
        return 0, 0
    return float(np.degrees(np.arctan2(-matrix[1, 0], matrix[0, 0]))), float(
        np.hypot(*matrix[0, :2])
    )


def load(folder: Path | None) -> dict[str, Picture]:
    """The pictures of a folder, or those of scikit-image, by name."""
    if folder is None:
        spec = find_spec("skimage")  # finds its files without importing it
        if spec is None or not spec.submodule_search_locations:
            raise SystemExit("no pictures: pip install --no-deps scikit-image, or use --pictures")
        folder = Path(spec.submodule_search_locations[0], "data")
        paths = [path for path in sorted(folder.iterdir()) if path.stem in NAMES]
    else:
        paths = [path for path in sorted(folder.iterdir()) if path.is_file()]
    found = {path.stem: read(path) for path in paths}
    return {name: picture for name, picture in found.items() if picture is not None}


def read(path: Path) -> Picture | None:
    """The picture, in grey; None if it is none."""
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="pictures to search in")
    parser.add_argument("--query", type=Path, metavar="PICTURE", help="a picture to look for")
    options = parser.parse_args()

    pictures = load(options.pictures)
    queries = [
        (name, what, change(picture))
        for name, picture in pictures.items()
        for what, change in COPIES.items()
    ]
    if options.query:
        query = read(options.query)
        if query is None:
            raise SystemExit(f"not a picture: {options.query}")
        queries = [(options.query.stem, "as it is", query)]

    with omendb.DB(metric="l2", element="u8") as db:
        for name, picture in pictures.items():
            store(db, name, picture)
        print(f"{len(db)} descriptors of {len(pictures)} pictures\n")
        print(f"{'query':18}{'changed':16}{'recognised as':18}{'votes':>10}{'turn':>8}{'scale':>7}")
        right = 0
        for name, what, query in queries:
            found = recognise(db, query)
            right += found.picture == name
            votes = f"{found.votes}/{found.cast}"
            print(f"{name:18}{what:16}{found.picture or '-':18}{votes:>10}", end="")
            print(f"{round(found.degrees):8}{found.scale:7.2f}")
        if not options.query:
            print(f"\n{right} of {len(queries)} recognised")


if __name__ == "__main__":
    main()
