"""OmenDB: a vector database in your process, or one argument away in a cluster of processes.

    import numpy, omendb

    db = omendb.DB()
    ids = db.add_batch(numpy.random.rand(1000, 128).astype("float32"))
    for hit in db.search(numpy.random.rand(128).astype("float32"), limit=3):
        print(hit.id, hit.distance)

Arrays whose elements are float32, float16, uint8 or int8, and whose rows are contiguous, are read
where they lie, memory-mapped files and CPU tensors included. Everything else is converted once, a
few megabytes at a time. All methods may be called from any thread; searches run beside each other.

Ctrl-C ends every call within a tenth of a second, and the database stays usable. Of an interrupted
write the first rows are there, and the exception's `records_written` says how many.
"""

from typing import TYPE_CHECKING, Any

from ._collection import Collection
from ._convert import Id, Metadata
from ._database import DB
from ._filter import Filter
from ._results import BatchResult, FailedShard, Hits, Record, SearchResult
from .errors import (
    Corrupt,
    DatabaseError,
    Locked,
    OmenDBError,
    Unavailable,
    ValidationError,
)

if TYPE_CHECKING:
    from .aio import AsyncDB

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # asyncio takes longer to import than all the rest.
    if name == "AsyncDB":
        from .aio import AsyncDB

        return AsyncDB
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "DB",
    "AsyncDB",
    "BatchResult",
    "Collection",
    "Corrupt",
    "DatabaseError",
    "FailedShard",
    "Filter",
    "Hits",
    "Id",
    "Locked",
    "Metadata",
    "OmenDBError",
    "Record",
    "SearchResult",
    "Unavailable",
    "ValidationError",
    "__version__",
]
