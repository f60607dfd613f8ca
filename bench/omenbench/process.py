"""Running programs, with errors that name them."""

import json
import subprocess
import sys

from omenbench.failure import Failure


def run_json(command, timeout: float | None = None, environment: dict | None = None):
    """Standard output of a program as JSON; its standard error goes to ours when it fails."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout,
                              env=environment)
    except subprocess.TimeoutExpired:
        raise Failure(f"{' '.join(words)}: no end after {timeout:.0f} s") from None
    if done.returncode != 0:
        sys.stderr.write(done.stderr[-4000:])
        raise Failure(f"{' '.join(words)}: exit {done.returncode}")
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise Failure(f"{' '.join(words)}: its output is no JSON: {error}") from error
