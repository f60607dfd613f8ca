"""Arguments of bench/run, and what all sub-commands have in common."""

import argparse
import importlib
import shlex
import sys
import time
from pathlib import Path

from omenbench import results
from omenbench.console import say
from omenbench.failure import Failure
from omenbench.paths import ROOT

# In the order of `all`; each a module of this package.
MEASUREMENTS = ["peers", "hard", "dims", "scaling", "streaming", "open", "python", "profile"]


def module(name: str):
    return importlib.import_module(f"omenbench.{name}")


def make_parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--data", type=lambda text: Path(text).resolve(),
                        help="folder of the data sets (bench/data, then bench/sample)")
    common.add_argument("--count", type=int,
                        help="vectors to measure with (all that there are)")
    parser = argparse.ArgumentParser(
        prog="bench/run", description="Measures OmenDB; writes bench/results and docs/images.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in MEASUREMENTS:
        found = module(name)
        child = commands.add_parser(name, parents=[common], help=found.SUMMARY,
                                    description=found.__doc__,
                                    formatter_class=argparse.RawDescriptionHelpFormatter)
        found.add_arguments(child)
    commands.add_parser("all", parents=[common], help="every measurement, then the tables")
    against = module("against")
    child = commands.add_parser("against", help=against.SUMMARY, description=against.__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    against.add_arguments(child)
    commands.add_parser("table", help="rewrites the generated tables from bench/results")
    return parser


def measure(name: str, options: argparse.Namespace, command: str) -> None:
    """Runs a sub-command, and writes its result and its pictures."""
    start = time.monotonic()
    found = module(name)
    hidden = {"command", "data"}
    parameters = {key: value for key, value in vars(options).items() if key not in hidden}
    recorder = results.Recorder(name, command, parameters)
    found.run(options, recorder)
    result = recorder.result(time.monotonic() - start)
    path = results.save(result)
    say(f"{name}: {results.portable(str(path))}")
    for picture in found.plot(result):
        say(f"{name}: {results.portable(str(picture))}")


def measure_all(arguments: list[str], parser: argparse.ArgumentParser) -> list[str]:
    """Every measurement with its own standard options; returns what failed."""
    failed = []
    for name in MEASUREMENTS:
        options = parser.parse_args([name, *arguments])
        try:
            measure(name, options, command_text([name, *arguments]))
        except Failure as failure:
            # The others are still worth having.
            say(f"{name} failed: {failure}")
            failed.append(name)
    return failed


def against(options: argparse.Namespace) -> int:
    found = module("against")
    path = found.write(found.run(options), options.save)
    print(f"\n{path.relative_to(ROOT)}")
    return 0


def command_text(arguments: list[str]) -> str:
    """The command without the folder of the data, which differs from machine to machine."""
    kept = []
    words = iter(arguments)
    for word in words:
        if word == "--data":
            next(words, None)
        elif not word.startswith("--data="):
            kept.append(word)
    return shlex.join(["bench/run", *kept])


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = make_parser()
    options = parser.parse_args(arguments)
    try:
        if options.command == "table":
            return module("table").rewrite()
        if options.command == "against":
            return against(options)
        if options.command == "all":
            failed = measure_all(arguments[1:], parser)
            status = module("table").rewrite()
            if failed:
                say(f"failed: {', '.join(failed)}")
            return 1 if failed else status
        measure(options.command, options, command_text(arguments))
    except Failure as failure:
        print(f"bench/run: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
