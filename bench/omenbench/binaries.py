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
        say(f"building {product}")
        command = ["swift", "build", *FLAGS, "--product", product]
        try:
            # SwiftPM knows what is stale; standard output belongs to the tables.
            subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)
            shown = subprocess.run([*command, "--show-bin-path"], cwd=ROOT, check=True,
                                   capture_output=True, text=True)
        except FileNotFoundError:
            raise Failure("swift is not in PATH: install it, or see scripts/setup") from None
        except subprocess.CalledProcessError as error:
            raise Failure(f"{' '.join(command)} failed with {error.returncode}") from None
        _built[product] = Path(shown.stdout.strip()) / product
    return _built[product]
