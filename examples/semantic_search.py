#!/usr/bin/env python3
"""Semantic search: what Debian's packages are for, found by meaning and not by words.

    pip install -r examples/requirements.txt
    pip install --no-deps -r examples/requirements-no-deps.txt
    examples/semantic_search.py "draw diagrams" "play chess"

The first run encodes the descriptions of 5,000 packages in half a minute and stores them with
metadata on disk; later ones open the database and answer at once. The descriptions are those that
apt knows, on Debian and its derivatives.
"""

import argparse
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minilm import MiniLM

import omendb

QUERIES = ["draw diagrams", "play chess", "recover deleted files"]
# Descriptions encoded and stored at a time.
PART = 2500


def paragraphs() -> Iterator[dict[str, str]]:
    """The fields of every package that apt knows; a description's first line only."""
    try:
        text = subprocess.run(["apt-cache", "dumpavail"], check=True, capture_output=True).stdout
    except FileNotFoundError:
        raise SystemExit(
            "apt-cache is missing: this example needs Debian or a derivative"
        ) from None
    for paragraph in text.decode(errors="replace").split("\n\n"):
        lines = (line.partition(": ") for line in paragraph.split("\n") if line[:1] != " ")
        fields = {key: value for key, colon, value in lines if colon}
        if "Package" in fields:
            yield fields


def packages(section: str | None) -> dict[str, dict[str, Any]]:
    """Metadata by the package's name, for each distinct description once."""
    found: dict[str, dict[str, Any]] = {}
    areas = set()
    for fields in paragraphs():
        summary = fields.get("Description") or fields.get("Description-en")
        area = fields.get("Section", "").rpartition("/")[2]
        areas.add(area)
        if summary and section in (None, area):
            found.setdefault(
                summary,
                {
                    "package": fields["Package"],
                    "section": area,
                    "installed_size": int(fields.get("Installed-Size", 0)),
                    "summary": summary,
                },
            )
    if not areas:
        raise SystemExit("apt has no package lists; as root: apt-get update")
    if not found:
        raise SystemExit(f"no section {section}; there are {', '.join(sorted(areas - {''}))}")
    # A mixed order, in which the others stay where they are when one comes or goes.
    mixed = sorted(found.values(), key=lambda one: zlib.crc32(one["package"].encode()))
    return {one["package"]: one for one in mixed}


def fill(db: omendb.DB, model: MiniLM, count: int, section: str | None) -> int:
    """Adds packages until there are `count`, or no more of them; returns how many it added."""
    known = set(db.list_ids())
    wanted = [one for name, one in packages(section).items() if name not in known]
    wanted = wanted[: max(0, count - len(known))]
    # In parts, so that little is lost when the run is interrupted: the next one goes on from there.
    for first in range(0, len(wanted), PART):
        part = wanted[first : first + PART]
        vectors = model.encode([one["summary"] for one in part])
        db.add_batch(vectors, [one["package"] for one in part], part)
        print(f"encoded {first + len(part)} of {len(wanted)} descriptions")
    return len(wanted)


def search(db: omendb.DB, model: MiniLM, queries: list[str], limit: int) -> None:
    found = db.search_batch(model.encode(queries), limit, as_results=True)
    for query, hits in zip(queries, found, strict=True):
        print(f"\n{query}")
        for hit in hits:
            about = hit.metadata
            print(f"  {hit.score:.3f}  {hit.id:24} {about['section']:10} {about['summary']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("queries", nargs="*", default=QUERIES, metavar="QUERY")
    parser.add_argument("--path", type=Path, default=Path("packages.db"), help="the database")
    parser.add_argument("--count", type=int, default=5000, help="packages to store")
    parser.add_argument("--section", help="of that section only, for example games")
    parser.add_argument("--limit", type=int, default=5, help="hits for each query")
    options = parser.parse_args()

    model = MiniLM()
    with omendb.DB(options.path, metric="cosine") as db:
        if len(db) < options.count:
            print("encoding descriptions, some 200 a second")
            fill(db, model, options.count, options.section)
        print(f"{len(db)} packages in {options.path}")
        search(db, model, options.queries, options.limit)


if __name__ == "__main__":
    main()
