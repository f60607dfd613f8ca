"""Where things are, from the folder of the repository."""

from pathlib import Path

BENCH = Path(__file__).resolve().parents[1]
ROOT = BENCH.parent
RESULTS = BENCH / "results"
IMAGES = ROOT / "docs" / "images"
DATA = BENCH / "data"
# Built indexes of peers, by version and parameters.
BUILT = DATA / "built"
