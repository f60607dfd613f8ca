"""Result files: bench/results/NAME.json, of one form for all sub-commands."""

import json
import re
from pathlib import Path

from omenbench import machine
from omenbench.failure import Failure
from omenbench.paths import RESULTS, ROOT

FORMAT = 1
# What every result must have, and of what type.
FIELDS = {
    "format": int,
    "name": str,
    "measured": str,
    "seconds": (int, float),
    "command": str,
    "machine": dict,
    "versions": dict,
    "parameters": dict,
    "commands": list,
    "rows": dict,
}
MACHINE_FIELDS = ["cpu", "cores", "memory_bytes", "kernel"]


class Recorder:
    """Gathers what a sub-command measured, and the exact commands that it ran."""

    def __init__(self, name: str, command: str, parameters: dict):
        self.name = name
        self.command = command
        self.parameters = parameters
        self.commands: list[str] = []
        self.rows: dict = {}

    def note_command(self, words) -> None:
        text = portable(" ".join(map(str, words)))
        if text not in self.commands:
            self.commands.append(text)

    def result(self, seconds: float) -> dict:
        return {
            "format": FORMAT,
            "name": self.name,
            "measured": machine.utc_now(),
            "seconds": round(seconds, 1),
            "command": self.command,
            "machine": machine.machine(),
            "versions": machine.versions(),
            "parameters": self.parameters,
            "commands": self.commands,
            "rows": self.rows,
        }


ABSOLUTE_PATH = re.compile(r"(?<![\w.~-])/[\w.+@~/-]+")


def portable(text: str) -> str:
    """The text with paths inside the repository from its folder, and others by their last name."""
    def short(match: re.Match) -> str:
        path = Path(match[0])
        inside = path.is_relative_to(ROOT) and not {".build", ".venv"} & set(path.parts)
        return str(path.relative_to(ROOT)) if inside else path.name
    return ABSOLUTE_PATH.sub(short, text)


def complaints(result: object) -> list[str]:
    """What is wrong with the form of a result."""
    if not isinstance(result, dict):
        return ["a result is a JSON object"]
    found = [f"{name} is missing" for name in FIELDS if name not in result]
    found += [f"{name} is a {type(result[name]).__name__}" for name, kind in FIELDS.items()
              if name in result and not isinstance(result[name], kind)]
    if result.get("format") not in (None, FORMAT):
        found.append(f"format is {result['format']}, expected {FORMAT}")
    if isinstance(result.get("machine"), dict):
        found += [f"machine.{name} is missing" for name in MACHINE_FIELDS
                  if name not in result["machine"]]
    return found


def save(result: dict, folder: Path = RESULTS) -> Path:
    wrong = complaints(result)
    if wrong:
        raise Failure(f"result {result.get('name')}: {'; '.join(wrong)}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result['name']}.json"
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(rounded(result), indent=1) + "\n")
    partial.rename(path)
    return path


def load(name: str, folder: Path = RESULTS) -> dict | None:
    """A result that was written before, or None."""
    path = folder / f"{name}.json"
    if not path.exists():
        return None
    try:
        result = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise Failure(f"{path}: {error}") from error
    wrong = complaints(result)
    if wrong:
        raise Failure(f"{path}: {'; '.join(wrong)}; measure anew: bench/run {name}")
    return result


def rounded(value, digits: int = 6):
    """Floats at six significant digits: more are noise."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, dict):
        return {key: rounded(item, digits) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item, digits) for item in value]
    return value
