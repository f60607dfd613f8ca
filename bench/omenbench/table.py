"""Rewrites the generated blocks of the documents, between `<!-- bench:NAME -->` and `<!-- /bench -->`.

Everything outside of the markers is written by hand and stays.
"""

import re

from omenbench import results
from omenbench.blocks import BLOCKS
from omenbench.console import say
from omenbench.failure import Failure
from omenbench.paths import ROOT

DOCUMENTS = ["docs/PERFORMANCE.md", "README.md"]
RESULTS = ["peers", "hard", "dims", "scaling", "streaming", "open", "python", "profile"]
END = "<!-- /bench -->"
MARKER = re.compile(r"^<!-- bench:([\w-]+) -->$")


def replaced(text: str, blocks: dict) -> str:
    """The text with new lines in its blocks; `blocks` makes them by name."""
    lines, out = iter(text.split("\n")), []
    for line in lines:
        out.append(line)
        match = MARKER.match(line)
        if not match:
            if line == END:
                raise Failure(f"{END} without a block before it")
            continue
        name = match[1]
        if name not in blocks:
            raise Failure(f"unknown block {name}, expected one of {', '.join(blocks)}")
        for old in lines:
            if old == END:
                break
            if MARKER.match(old):
                raise Failure(f"block {name} does not end before {old}")
        else:
            raise Failure(f"block {name} has no {END}")
        out += [*blocks[name](), END]
    return "\n".join(out)


def rewrite() -> int:
    found = {name: results.load(name) for name in RESULTS}
    blocks = {name: lambda block=block: block(found) for name, block in BLOCKS.items()}
    for name in DOCUMENTS:
        path = ROOT / name
        try:
            old = path.read_text()
            new = replaced(old, blocks)
        except FileNotFoundError:
            raise Failure(f"{name} is not there") from None
        except Failure as failure:
            raise Failure(f"{name}: {failure}") from None
        if new != old:
            path.write_text(new)
        say(f"table: {name} {'rewritten' if new != old else 'is as it was'}")
    return 0
