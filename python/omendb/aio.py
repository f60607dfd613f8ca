"""The same database for asyncio.

A task that is cancelled during a call ends it, too: a search within some ten milliseconds, a write
behind the part under way. The `CancelledError` then says how many records are written.
"""

import asyncio
import contextlib
import functools
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from ._apart import Stop, note_written
from ._database import DB
from ._library import library, local

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _in_thread(
    method: Callable[Concatenate[DB, _P], _R],
) -> "Callable[Concatenate[AsyncDB, _P], Coroutine[Any, Any, _R]]":
    """The method on a thread of the database's own, so that the loop goes on meanwhile."""

    async def run(self: "AsyncDB", /, *arguments: _P.args, **options: _P.kwargs) -> _R:
        call = functools.partial(method, self.db, *arguments, **options)
        return await _run(self._threads, call)

    functools.update_wrapper(run, method)
    return run


async def _run(threads: ThreadPoolExecutor, call: Callable[[], _R]) -> _R:
    stop = Stop(library)

    def work() -> _R:
        local.stop = stop
        local.use_stop()
        try:
            return call()
        finally:
            local.stop = None
            local.use_stop()
            stop.free()

    job = threads.submit(work)
    waiting = asyncio.wrap_future(job)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError as cancelled:
        stop.request()
        if job.cancel():
            stop.free()
        else:
            # What was raised first is raised when the call has ended.
            while not waiting.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([waiting])
            _note(cancelled, waiting.exception())
        raise


def _note(cancelled: asyncio.CancelledError, ended_by: BaseException | None) -> None:
    """Says how far the call went."""
    if ended_by is None:
        cancelled.args = cancelled.args or ("the call had ended: its work is done",)
    elif hasattr(ended_by, "_omendb_written"):
        note_written(cancelled, *ended_by._omendb_written)


class AsyncDB:
    """A `DB` whose methods are coroutines; `db` is the one behind it.

    Takes the arguments of `DB`. Opening blocks: files are mapped, a cluster may be started.
    """

    def __init__(self, *arguments: Any, threads: int = 4, **options: Any) -> None:
        self.db = DB(*arguments, **options)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="omendb")

    add = _in_thread(DB.add)
    upsert = _in_thread(DB.upsert)
    add_batch = _in_thread(DB.add_batch)
    upsert_batch = _in_thread(DB.upsert_batch)
    update = _in_thread(DB.update)
    delete = _in_thread(DB.delete)
    delete_batch = _in_thread(DB.delete_batch)
    clear = _in_thread(DB.clear)
    calibrate = _in_thread(DB.calibrate)
    search = _in_thread(DB.search)
    search_batch = _in_thread(DB.search_batch)
    get = _in_thread(DB.get)
    get_many = _in_thread(DB.get_many)
    exists = _in_thread(DB.exists)
    list_ids = _in_thread(DB.list_ids)
    count = _in_thread(DB.count)
    size = _in_thread(DB.size)
    to_numpy = _in_thread(DB.to_numpy)
    import_file = _in_thread(DB.import_file)
    to_pandas = _in_thread(DB.to_pandas)
    add_pandas = _in_thread(DB.add_pandas)
    info = _in_thread(DB.info)
    checkpoint = _in_thread(DB.checkpoint)
    wait_linked = _in_thread(DB.wait_linked)
    save = _in_thread(DB.save)
    collections = _in_thread(DB.collections)
    drop = _in_thread(DB.drop)
    stop = _in_thread(DB.stop)

    async def close(self) -> None:
        """As `DB.close`."""
        await _run(self._threads, self.db.close)
        self._threads.shutdown(wait=False)

    async def __aenter__(self) -> "AsyncDB":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
