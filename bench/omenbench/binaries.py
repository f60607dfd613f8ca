"""The release binaries that are measured."""

import os
import subprocess
import sys
from pathlib import Path

from omenbench.console import say
from omenbench.failure import Failure
from omenbench.paths import ROOT

# As scripts/build: the runtime inside, processes start in half the time.
FLAGS = ["-c", "release", "--static-swift-stdlib"]
_built: dict[str, Path] = {}


def binary(product: str) -> Path:
    """Path of an up-to-date release build; a variable such as OMEN_CLUSTER names another one."""
    given = os.environ.get(product.upper().replace("-", "_"))
    if given:
        if not os.access(given, os.X_OK):
            raise Failure(f"{product.upper().replace('-', '_')}={given} is no executable file")
        return Path(given).resolve()
    if product not in _built:
        _built[product] = build(product, ROOT)
    return _built[product]


def build(product: str, root: Path) -> Path:
    """Builds a program of the checkout at `root`; returns its path."""
    return _build(product, root, FLAGS) / product


def build_library(root: Path) -> Path:
    """The same for what Python loads, as scripts/build-library does."""
    flags = ["-c", "release", "-Xswiftc", "-static-stdlib", "--scratch-path", ".build-lib",
             "-Xlinker", f"--version-script={root}/scripts/omendb.map"]
    return _build("OmenDB", root, flags) / "libOmenDB.so"


def _build(product: str, root: Path, flags: list[str]) -> Path:
    say(f"building {product}" + ("" if root == ROOT else f" in {root.relative_to(ROOT)}"))
    command = ["swift", "build", *flags, "--product", product]
    try:
        # SwiftPM knows what is stale; standard output belongs to the tables.
        subprocess.run(command, cwd=root, check=True, stdout=sys.stderr)
        shown = subprocess.run([*command, "--show-bin-path"], cwd=root, check=True,
                               capture_output=True, text=True)
    except FileNotFoundError:
        raise Failure("swift is not in PATH: install it, or see scripts/setup") from None
    except subprocess.CalledProcessError as error:
        raise Failure(f"{' '.join(command)} failed with {error.returncode}") from None
    return Path(shown.stdout.strip())
