#!/usr/bin/env python3
"""Runs the tests in this folder (`test_*.py`, plain unittest) and ends with one line of counts.

    .venv/bin/python Tests/python/run.py             all of them
    .venv/bin/python Tests/python/run.py kill tidy   files whose name contains one of the words
"""

import signal
import sys
import time
import unittest
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def chosen_files(words: list[str]) -> list[Path]:
    files = sorted(FOLDER.glob("test_*.py"))
    return [file for file in files if not words or any(word in file.stem for word in words)]


class TimedResult(unittest.TextTestResult):
    """Says in the end which tests took longest, as pytest does, for scripts/minutes."""

    LONGEST = 10

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._seconds: list[tuple[float, str]] = []
        self._start = 0.0

    def startTest(self, test):
        self._start = time.monotonic()
        super().startTest(test)

    def stopTest(self, test):
        super().stopTest(test)
        self._seconds.append((time.monotonic() - self._start, test.id()))

    def printErrors(self):
        super().printErrors()
        for seconds, name in sorted(self._seconds, reverse=True)[:self.LONGEST]:
            self.stream.writeln(f"{seconds:.2f}s call     {name}")


def main() -> int:
    # A shell starts programs in the background so that they ignore interrupts; tests send some.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.path.insert(0, str(FOLDER))
    files = chosen_files(sys.argv[1:])
    if not files:
        print(f"no test file matches {sys.argv[1:]}", file=sys.stderr)
        return 64
    suite = unittest.defaultTestLoader.loadTestsFromNames([file.stem for file in files])
    result = unittest.TextTestRunner(verbosity=2, stream=sys.stdout,
                                     resultclass=TimedResult).run(suite)
    # A test with failing subtests counts once.
    bad = {str(test).split(" (")[0] + str(getattr(test, "test_case", test)) for test, _ in
           result.failures + result.errors}
    failed = len(bad) + len(result.unexpectedSuccesses)
    passed = max(result.testsRun - failed - len(result.skipped), 0)
    print(f"python: {passed} passed, {failed} failed, {len(result.skipped)} skipped")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
