"""Long calls of the library that Ctrl-C, other signals and asyncio can end.

Python runs its signal handlers on the main thread, between two steps of its own: during a call of
the library they wait. So the main thread leaves long calls to a thread apart and waits for it in
steps. What a handler raises, KeyboardInterrupt for one, ends the call first, which takes some ten
milliseconds, and then goes on.
"""

import _thread
import contextlib
import ctypes
import sys
import time
from collections.abc import Callable
from typing import Any

UNKNOWN_OUTCOME = 5
# Seconds between two looks for signals that another thread received.
_STEP = 0.05
# Seconds after which a call that was asked to end is left alone: a disk that hangs, say.
_PATIENCE = 10.0


class Stop:
    """The library's `omendb_stop`: a wish to end the calls of the threads that use it.

    To be freed by hand, best on another thread than the main one: what a signal handler raises in a
    `__del__` is lost.
    """

    def __init__(self, library: ctypes.CDLL, limit_ms: int = 0) -> None:
        self._library = library
        self._handle = ctypes.c_void_p(library.omendb_stop_new(limit_ms))

    def use(self) -> None:
        """For all calls of this thread from now on."""
        self._library.omendb_stop_use(self._handle)

    def request(self) -> None:
        self._library.omendb_stop_request(self._handle)

    def free(self) -> None:
        """Any time: to ask for the end of a call that has ended does nothing."""
        self._library.omendb_stop_free(self._handle)


class Apart:
    """One call on a thread apart, made by the main thread."""

    def __init__(
        self,
        library: ctypes.CDLL,
        function: Callable[..., int],
        arguments: tuple[object, ...],
        use_own_stop: Callable[[], None],
    ) -> None:
        """`use_own_stop` makes the main thread's own calls look at their own again."""
        # The arguments stay while the call may read them, whatever becomes of the caller.
        self._call = (function, arguments)
        self._use_own_stop = use_own_stop
        self._stop = Stop(library)
        # Taken by the thread that begins, or by the main thread to keep it from beginning.
        self._turn = _thread.allocate_lock()
        self._ended = _thread.allocate_lock()
        self._ended.acquire()
        # The lock may be taken already when a signal interrupts the line that took it.
        self._is_over = False
        self._code = 0
        self._failure: BaseException | None = None

    def run(self) -> int:
        """Makes the call; returns what it returns.

        Raises what a signal handler raised meanwhile; then the call has ended early.
        """
        try:
            if not self._start():
                return self._run_here()
            while not self._ended.acquire(timeout=_STEP):
                pass
        except BaseException as error:
            self._end()
            if self._code == UNKNOWN_OUTCOME:
                _mark(error, "_omendb_is_unknown", True)
            raise
        if self._failure is not None:
            raise self._failure
        return self._code

    def _start(self) -> bool:
        """False when there can be no thread: none is left, or the interpreter is ending."""
        # Some versions of Python start one then, which never runs.
        if sys.is_finalizing():
            return False
        try:
            _thread.start_new_thread(self._work, ())
        except RuntimeError:
            if self._turn.acquire(blocking=False):
                return False
            raise
        return True

    def _work(self) -> None:
        try:
            if self._turn.acquire(blocking=False):
                self._stop.use()
                function, arguments = self._call
                self._code = function(*arguments)
        except BaseException as error:
            self._failure = error
        finally:
            self._stop.free()
            self._is_over = True
            self._ended.release()

    def _run_here(self) -> int:
        function, arguments = self._call
        self._stop.use()
        try:
            return function(*arguments)
        finally:
            self._use_own_stop()
            self._stop.free()

    def _end(self) -> None:
        """Ends the call, and waits for that."""
        self._stop.request()
        end = time.monotonic() + _PATIENCE
        while not self._is_over and time.monotonic() < end:
            try:
                if self._turn.acquire(blocking=False) or self._ended.acquire(timeout=_STEP):
                    return
            except BaseException:
                # One more signal. What was raised first is raised when the call has ended.
                continue


def _mark(error: BaseException, name: str, value: object) -> None:
    # An exception of a user's own may take no more attributes.
    with contextlib.suppress(AttributeError, TypeError):
        setattr(error, name, value)


def note_written(
    error: Any, done: int, total: int, what: str = "records", is_unknown: bool = False
) -> None:
    """Says in an error how far a write went: its first `done` of `total` are in.

    Sets `records_written`, too. Of a write within a larger one the outer one says it again, for
    all.
    """
    is_unknown = (
        is_unknown
        or getattr(error, "code", 0) == UNKNOWN_OUTCOME
        or getattr(error, "_omendb_is_unknown", False)
    )
    text = f"the first {done:,} of {total:,} {what} are written"
    if is_unknown:
        text += ", and maybe some after them"
    old = getattr(error, "_omendb_text", None)
    _mark(error, "records_written", done)
    _mark(error, "_omendb_text", text)
    _mark(error, "_omendb_written", (done, total, what, is_unknown))
    if not error.args or error.args == (old,):
        error.args = (text,)
    else:
        # Shown from Python 3.11 on.
        notes = [one for one in getattr(error, "__notes__", []) if one != old]
        _mark(error, "__notes__", [*notes, text])
