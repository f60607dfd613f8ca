"""One handle of the library, shared by the collections of a database."""

import json
import os
import secrets
import threading
import weakref
from collections.abc import Callable
from ctypes import byref, c_char_p, c_void_p, cast
from typing import Any

from ._convert import Array
from ._library import call, call_apart, close_at_once, close_here, library
from .errors import DatabaseError, Unavailable, ValidationError

_sessions: "weakref.WeakSet[Session]" = weakref.WeakSet()


class Numbers:
    """Gives records numbers that no other record of their collection has; safe on any thread."""

    def __init__(self, is_shared: bool) -> None:
        self._lock = threading.Lock()
        self._is_shared = is_shared
        # The next number, by collection; missing until one was wanted.
        self._next: dict[str, int] = {}

    def take(self, name: str, count: int, list_ids: Callable[[], list[int | str]]) -> int:
        """The first of `count` numbers."""
        with self._lock:
            if name not in self._next:
                self._next[name] = self._first(list_ids)
            first = self._next[name]
            if first + count > 1 << 64:
                raise ValidationError(f"no {count} numbers are left behind the id {first - 1}")
            self._next[name] = first + count
            return first

    def _first(self, list_ids: Callable[[], list[int | str]]) -> int:
        # Other processes write to a cluster, too: chance keeps their numbers apart.
        if self._is_shared:
            return secrets.randbits(62)
        return max((one for one in list_ids() if isinstance(one, int)), default=-1) + 1

    def note(self, name: str, numbers: Array) -> None:
        """Leaves out numbers that a user chose; those of a cluster are left to chance."""
        with self._lock:
            if name in self._next and not self._is_shared and len(numbers):
                self._next[name] = max(self._next[name], int(numbers.max()) + 1)

    def forget(self, name: str) -> None:
        with self._lock:
            self._next.pop(name, None)


class Session:
    """An open database or connection; safe on any thread."""

    def __init__(self, handle: c_void_p, where: str, is_shared: bool) -> None:
        self.numbers = Numbers(is_shared)
        self._handle: c_void_p | None = handle
        self.is_shared = is_shared
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self.where = where
        self.is_forked = False
        _sessions.add(self)

    @property
    def handle(self) -> c_void_p:
        handle = self._handle
        if handle is None:
            raise Unavailable(f"the database {self.where} is closed")
        if self.is_forked:
            raise DatabaseError(
                f"the database {self.where} was opened by process {self._pid}, before fork(): its "
                "threads and locks did not come along; open it in each process"
            )
        return handle

    @property
    def is_closed(self) -> bool:
        return self._handle is None

    def close(self) -> None:
        self._end(lambda handle: call_apart("omendb_close", handle))

    def abandon(self) -> None:
        """Closes at once, without what makes the next opening fast."""
        self._end(close_at_once)

    def _end(self, close: Callable[[c_void_p], None]) -> None:
        with self._lock:
            handle, self._handle = self._handle, None
        # After a fork it is the parent's to close.
        if handle is not None and not self.is_forked:
            close(handle)

    def change(self, name: str, *arguments: object) -> None:
        """Calls the library to change something; a cluster may not answer."""
        (call_apart if self.is_shared else call)(name, self.handle, *arguments)

    def info(self) -> dict[str, Any]:
        text = c_void_p()
        try:
            call("omendb_info", self.handle, byref(text))
            found: dict[str, Any] = json.loads(cast(text, c_char_p).value or b"{}")
        finally:
            library.omendb_text_free(text)
        return found

    def __del__(self) -> None:
        try:  # noqa: SIM105 - at the interpreter's end modules may be gone
            self._end(close_here)
        except Exception:
            pass


def open_at(path: str | None, durability: int, interval_ms: int) -> Session:
    handle = c_void_p()
    name = None if path is None else os.fsencode(path)
    where = "in memory" if path is None else f"at {path}"
    return _made(handle, where, False, "omendb_open", name, durability, interval_ms)


def connect(socket: str) -> Session:
    handle = c_void_p()
    return _made(handle, f"at {socket}", True, "omendb_connect", os.fsencode(socket))


def _made(handle: c_void_p, where: str, is_shared: bool, name: str, *arguments: object) -> Session:
    try:
        call_apart(name, *arguments, byref(handle))
        return Session(handle, where, is_shared)
    except BaseException:
        # Interrupted when it was open already.
        if handle:
            call_apart("omendb_close", handle)
        raise


def _mark_forked() -> None:
    for session in list(_sessions):
        session.is_forked = True


os.register_at_fork(after_in_child=_mark_forked)
