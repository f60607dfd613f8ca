"""The library behind the package: structures and functions of `omendb.h`, through ctypes.

ctypes lets other Python threads run during every call.
"""

import ctypes
import os
import threading
import time
from ctypes import (
    POINTER,
    Structure,
    byref,
    c_char,
    c_char_p,
    c_float,
    c_int32,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
)
from pathlib import Path
from typing import Any

from ._apart import Apart, Stop
from .errors import STOPPED, OmenDBError, error_of

ABI_VERSION = 7
FOLDER = Path(__file__).parent

METRICS = {"l2": 0, "cosine": 1, "ip": 2}
ELEMENTS = {"f32": 0, "u8": 1}
# Types of arrays that are read where they lie.
READ_ELEMENTS = {"float32": 0, "uint8": 1, "float16": 2, "int8": 3}
CODES = {"f32": 0, "u8": 1, "u4": 2, "u1": 3}
DURABILITIES = {"always": 0, "interval": 1, "none": 2}
FILTER_FORMS = {"filter": 0, "where": 1}


class Error(Structure):
    _fields_ = [("code", c_int32), ("retry_after_ms", c_uint32), ("message", c_char * 504)]


class Ids(Structure):
    _fields_ = [
        ("count", c_uint64),
        ("numbers", c_void_p),
        ("kinds", c_void_p),
        ("text_offsets", c_void_p),
        ("texts", c_void_p),
    ]


class Schema(Structure):
    _fields_ = [
        ("dim", c_uint32),
        ("metric", c_int32),
        ("element", c_int32),
        ("codes", c_int32),
        ("m", c_uint32),
        ("ef_construction", c_uint32),
    ]


class Batch(Structure):
    _fields_ = [
        ("count", c_uint64),
        ("dim", c_uint32),
        ("element", c_int32),
        ("vectors", c_void_p),
        ("stride", c_uint64),
        ("ids", Ids),
        ("metadata_offsets", c_void_p),
        ("metadata", c_void_p),
    ]


class Counts(Structure):
    _fields_ = [
        ("rows", c_uint64),
        ("upserted", c_uint64),
        ("replaced", c_uint64),
        ("deleted", c_uint64),
    ]


class Query(Structure):
    _fields_ = [
        ("count", c_uint64),
        ("dim", c_uint32),
        ("element", c_int32),
        ("vectors", c_char_p),
        ("limit", c_uint32),
        ("ef", c_uint32),
        ("recall", c_float),
        ("max_distance", c_float),
        ("exact", c_uint8),
        ("with_vector", c_uint8),
        ("with_metadata", c_uint8),
        ("allow_partial", c_uint8),
        ("explain", c_uint8),
        ("threads", c_uint32),
    ]


class Result(Structure):
    _fields_ = [
        ("query_count", c_uint64),
        ("count", c_uint64),
        ("counts", POINTER(c_uint32)),
        ("distances", POINTER(c_float)),
        ("ids_count", c_uint64),
        ("numbers", POINTER(c_uint64)),
        ("kinds", POINTER(c_uint8)),
        ("text_offsets", POINTER(c_uint64)),
        ("texts", c_void_p),
        ("metadata_offsets", POINTER(c_uint64)),
        ("metadata", c_void_p),
        ("vectors", c_void_p),
        ("element", c_int32),
        ("dim", c_uint32),
        ("shards_total", c_uint32),
        ("shards_failed", c_uint32),
        ("rows", POINTER(c_uint32)),
        ("details", c_char_p),
    ]


class SingleSearch(Structure):
    _fields_ = [
        ("database", c_void_p),
        ("collection", c_char_p),
        ("query", Query),
        ("distances", c_void_p),
        ("numbers", c_void_p),
        ("hit_count", c_int32),
        ("result", POINTER(Result)),
        ("error", Error),
    ]


class Vectors(Structure):
    _fields_ = [
        ("base", c_void_p),
        ("row_count", c_uint64),
        ("stride", c_uint64),
        ("dim", c_uint32),
        ("element", c_int32),
    ]


# Result and arguments of each function, less the error that comes last.
_SIGNATURES: dict[str, list[object]] = {
    "omendb_open": [c_char_p, c_int32, c_uint32, POINTER(c_void_p)],
    "omendb_connect": [c_char_p, POINTER(c_void_p)],
    "omendb_close": [c_void_p],
    "omendb_create": [c_void_p, c_char_p, POINTER(Schema)],
    "omendb_drop": [c_void_p, c_char_p],
    "omendb_clear": [c_void_p, c_char_p],
    "omendb_upsert": [c_void_p, c_char_p, POINTER(Batch), POINTER(Counts)],
    "omendb_delete": [c_void_p, c_char_p, POINTER(Ids), POINTER(Counts)],
    "omendb_calibrate": [c_void_p, c_char_p, c_void_p, c_uint64, c_uint32, c_int32],
    "omendb_search": [c_void_p, c_char_p, POINTER(Query), POINTER(POINTER(Result))],
    "omendb_get": [
        c_void_p,
        c_char_p,
        POINTER(Ids),
        c_uint8,
        POINTER(POINTER(Result)),
        POINTER(POINTER(Vectors)),
    ],
    "omendb_list": [c_void_p, c_char_p, POINTER(POINTER(Result)), POINTER(POINTER(Vectors))],
    "omendb_count": [c_void_p, c_char_p, POINTER(c_uint64)],
    "omendb_info": [c_void_p, POINTER(c_void_p)],
    "omendb_checkpoint": [c_void_p],
    "omendb_filter_new": [c_char_p, c_uint64, c_int32, POINTER(c_void_p)],
    "omendb_filter_json": [c_void_p, POINTER(c_void_p)],
    "omendb_filter_matches": [c_void_p, c_char_p, c_uint64, POINTER(c_uint8)],
}
_FREES: dict[str, object] = {
    "omendb_result_free": POINTER(Result),
    "omendb_vectors_free": POINTER(Vectors),
    "omendb_text_free": c_void_p,
    "omendb_filter_free": c_void_p,
    "omendb_stop_use": c_void_p,
    "omendb_stop_request": c_void_p,
    "omendb_stop_free": c_void_p,
}


def path() -> Path:
    """Where the library is: what OMENDB_LIBRARY names, or inside the package."""
    named = os.environ.get("OMENDB_LIBRARY")
    return Path(named) if named else FOLDER / "lib" / "libOmenDB.so"


def _load() -> ctypes.CDLL:
    where = path()
    try:
        loaded = ctypes.CDLL(str(where))
    except OSError as error:
        raise ImportError(f"{where} cannot be loaded: {error}") from error
    loaded.omendb_abi_version.restype = c_uint32
    version = loaded.omendb_abi_version()
    if version != ABI_VERSION:
        raise ImportError(f"{where} has ABI version {version}, this package needs {ABI_VERSION}")
    for name, arguments in _SIGNATURES.items():
        function = getattr(loaded, name)
        function.restype = c_int32
        function.argtypes = [*arguments, POINTER(Error)]
    for name, argument in _FREES.items():
        function = getattr(loaded, name)
        function.restype = None
        function.argtypes = [argument]
    # Without argument types: checking those of a search takes longer than passing them.
    loaded.omendb_search_one.restype = c_int32
    loaded.omendb_stop_new.restype = c_void_p
    loaded.omendb_stop_new.argtypes = [c_uint32]
    return loaded


library = _load()

# Milliseconds after which the main thread leaves a call to a thread apart, to look for signals. A
# read, or a write that waits for its turn, begins again there; so it is not less.
_LIMIT_MS = 50
_limit = Stop(library, _LIMIT_MS)


class Searcher:
    """What searches for one vector use again and again, one at a time."""

    __slots__ = (
        "asked",
        "capacity",
        "direct",
        "distances",
        "numbers",
        "reference",
        "run",
        "search",
    )

    def __init__(self) -> None:
        self.search = SingleSearch()
        self.reference = byref(self.search)
        self.direct: Any = library.omendb_search_one
        # `direct`, or while searches take long `run_apart`.
        self.run: Any = self.direct
        # What `search` was filled with.
        self.asked: tuple[object, ...] = ()
        self.reserve(10)

    def reserve(self, count: int) -> None:
        """Makes room for `count` hits."""
        # Whatever interrupts this leaves a capacity that all of the memory has.
        self.capacity = 0
        self.numbers: Any = (c_uint64 * count)()
        self.distances: Any = (c_float * count)()
        self.search.numbers = ctypes.addressof(self.numbers)
        self.search.distances = ctypes.addressof(self.distances)
        self.capacity = count

    def run_apart(self, *arguments: object) -> int:
        """The search, on a thread apart: for the main thread, when searches take long."""
        start = time.monotonic()
        code = Apart(library, self.direct, arguments, local.use_stop).run()
        is_long = time.monotonic() - start > _LIMIT_MS / 2000
        self.run = self.run_apart if is_long else self.direct
        return code


class _PerThread(threading.local):
    def __init__(self) -> None:
        self.error = Error()
        # None while a search uses it: one within it, from a signal handler, makes its own.
        self.searcher: Searcher | None = None
        # Python's signal handlers run there, and only there.
        self.is_main = threading.current_thread() is threading.main_thread()
        # What ends the calls of this thread.
        self.stop = _limit if self.is_main else None
        self.use_stop()

    def use_stop(self) -> None:
        """Makes the library's calls look at `stop`."""
        if self.stop is None:
            library.omendb_stop_use(None)
        else:
            self.stop.use()


local = _PerThread()


def _forget_handles() -> None:
    # A child's first search must find out that the database is not its own.
    local.searcher = None
    # The only thread that came along. Nothing of the library is called here: another thread may
    # have been inside it.
    local.is_main = True


os.register_at_fork(after_in_child=_forget_handles)


def call(name: str, *arguments: object) -> None:
    """Calls a function of the library.

    Raises what went wrong as an error of this package.
    """
    error = local.error
    code = getattr(library, name)(*arguments, error)
    if code == STOPPED and local.is_main:
        call_apart(name, *arguments)
    elif code:
        raise _told(code, error)


def _told(code: int, error: Error) -> OmenDBError:
    return error_of(code, error.message.decode("utf-8", "replace"), error.retry_after_ms)


def call_apart(name: str, *arguments: object, keep: object = None) -> None:
    """The same for what may take long, or must not begin again.

    On the main thread signal handlers run meanwhile, and what they raise ends it. `keep` stays
    until it has ended: the memory that the arguments point to.
    """
    if not local.is_main:
        call(name, *arguments)
        return
    error = Error()

    def run(*_kept: object) -> int:
        code: int = getattr(library, name)(*arguments, error)
        return code

    code = Apart(library, run, (keep,), local.use_stop).run()
    if code:
        raise _told(code, error)


def close_at_once(handle: c_void_p) -> None:
    """Closes without a checkpoint; what it could not sync is of no interest either."""
    stop = Stop(library)
    stop.request()
    stop.use()
    try:
        library.omendb_close(handle, local.error)
    finally:
        local.use_stop()
        stop.free()


def close_here(handle: c_void_p) -> None:
    """Closes on this thread, for the garbage collector: it may run where no thread can begin."""
    library.omendb_stop_use(None)
    try:
        library.omendb_close(handle, Error())
    finally:
        local.use_stop()


def bundled_cluster() -> Path | None:
    """The program that runs clusters, if the package brings it."""
    found = FOLDER / "bin" / "omen-cluster"
    return found if found.exists() else None
