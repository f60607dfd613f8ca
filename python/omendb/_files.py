"""Vectors from files and tables, and back; what it takes is imported when it is used."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._apart import note_written
from ._convert import Array, Id, Metadata, as_array
from ._records import check_rows
from .errors import DatabaseError, OmenDBError, ValidationError

if TYPE_CHECKING:
    from ._collection import Collection

# Rows that are read, stored and counted at a time.
_ROWS = 20_000


class Part(NamedTuple):
    """Some rows of a file; without ids they are numbered."""

    vectors: Array
    ids: Sequence[Id] | None = None
    metadata: Sequence[Metadata | None] | None = None


# A file is read twice: once to find what is wrong in it, and once to store it.
_Parts = Callable[[], Iterator[Part]]


def import_file(
    collection: "Collection", path: str | bytes | os.PathLike[Any], progress: bool | None
) -> int:
    """As `Collection.import_file`."""
    file = Path(os.fsdecode(path))
    if not file.is_file():
        raise ValidationError(f"there is no file {file}")
    reader = {
        ".npy": _npy,
        ".fvecs": lambda file: _vecs(file, np.dtype("<f4")),
        ".bvecs": lambda file: _vecs(file, np.dtype("u1")),
        ".parquet": _parquet,
    }.get(file.suffix)
    if reader is None:
        raise ValidationError(f"{file} is of a kind that is not read: .npy .fvecs .bvecs .parquet")
    total, parts = reader(file)
    try:
        _check(collection, parts(), total)
    except ValidationError as error:
        raise ValidationError(f"{file}: {error}; nothing of the file is stored") from error
    with _bar(file.name, total, progress) as tell:
        return _store(collection, parts(), total, tell)


def _check(collection: "Collection", parts: Iterator[Part], total: int) -> None:
    """Finds what would be refused of a later part, when others were stored already."""
    done = 0
    dim: int | None = None
    try:
        for part in parts:
            if len(part.vectors):
                dim = check_rows(collection, *part, done, dim)
            done += len(part.vectors)
    except BaseException as error:
        if not isinstance(error, OmenDBError):
            note_written(error, 0, total)
        raise


def _store(
    collection: "Collection", parts: Iterator[Part], total: int, tell: Callable[[int], None]
) -> int:
    done = 0
    try:
        for part in parts:
            collection.add_batch(part.vectors, part.ids, part.metadata)
            done += len(part.vectors)
            tell(done)
    except BaseException as error:
        rows = done + getattr(error, "records_written", 0)
        if not isinstance(error, OmenDBError):
            note_written(error, rows, total)
            raise
        if not rows:
            raise
        text = f"{error}; the first {rows} of {total} vectors were stored before"
        failed = type(error)(text, error.code)
        failed.records_written = rows
        raise failed from error
    return done


@contextlib.contextmanager
def _bar(name: str, total: int, progress: bool | None) -> Iterator[Callable[[int], None]]:
    """Shows how many rows are done: by tqdm if it is there, else in a line written anew."""
    if progress is False or (progress is None and not sys.stderr.isatty()):
        yield lambda done: None
        return
    try:
        import tqdm
    except ImportError:
        yield lambda done: _show_line(name, done, total)
        sys.stderr.write("\n")
        return
    with tqdm.tqdm(total=total, desc=name, unit=" vectors", unit_scale=True) as bar:
        yield lambda done: bar.update(done - bar.n) and None


def _show_line(name: str, done: int, total: int) -> None:
    sys.stderr.write(f"\r{name}: {done:,} of {total:,} vectors")
    sys.stderr.flush()


def _slices(matrix: Array) -> _Parts:
    def parts() -> Iterator[Part]:
        for first in range(0, len(matrix), _ROWS):
            yield Part(matrix[first : first + _ROWS])

    return parts


def _npy(file: Path) -> tuple[int, _Parts]:
    try:
        matrix = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValidationError(f"{file} cannot be read: {error}") from error
    if matrix.ndim != 2:
        raise ValidationError(f"{file} has shape {matrix.shape}, expected [count, dim]")
    return len(matrix), _slices(matrix)


def _vecs(file: Path, element: "np.dtype[Any]") -> tuple[int, _Parts]:
    """Rows of a `<i4` dimension and its elements (corpus-texmex.irisa.fr)."""
    content = np.memmap(file, np.uint8, "r") if file.stat().st_size else np.empty(0, np.uint8)
    if not len(content):
        return 0, lambda: iter(())
    dim = int(content[:4].view("<i4")[0]) if len(content) >= 4 else 0
    row_bytes = 4 + dim * element.itemsize
    if dim <= 0 or len(content) % row_bytes:
        raise ValidationError(f"{file}: {len(content)} bytes are no rows of {dim} elements")
    rows = content.reshape(-1, row_bytes)
    different = np.flatnonzero((rows[:, :4] != rows[0, :4]).any(axis=1))
    if len(different):
        raise ValidationError(f"{file}: row {different[0]} has another dimension than the first")
    return len(rows), _slices(rows[:, 4:].view(element))


def _parquet(file: Path) -> tuple[int, _Parts]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DatabaseError(f"{file} needs pyarrow: pip install omendb[parquet]") from error
    try:
        table = pyarrow.parquet.ParquetFile(file)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValidationError(f"{file} cannot be read: {error}") from error
    names = table.schema_arrow.names
    if "vector" not in names:
        raise ValidationError(f"{file} has no column vector, only {', '.join(names)}")

    def parts() -> Iterator[Part]:
        done = 0
        for batch in table.iter_batches(_ROWS):
            column = batch.column("vector")
            rest = [name for name in names if name not in ("vector", "id")]
            matrix = _matrix_of(column, done)
            done += len(matrix)
            yield Part(
                matrix,
                batch.column("id").to_pylist() if "id" in names else None,
                _objects(batch.select(rest).to_pylist()) if rest else None,
            )

    return table.metadata.num_rows, parts


def _matrix_of(column: Any, first: int) -> Array:
    """The rows of a column of lists, without a copy where they follow each other; errors count rows
    from `first`."""
    if not hasattr(column, "flatten"):
        raise ValidationError(f"column vector has elements of type {column.type}, expected lists")
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise ValidationError(f"vector {first + row} is missing")
    values = column.flatten()
    if hasattr(column, "value_lengths"):
        lengths = column.value_lengths().to_numpy(zero_copy_only=False)
        different = np.flatnonzero(lengths != lengths[0])
        if len(different):
            row = int(different[0])
            raise ValidationError(
                f"vector {first + row} has {lengths[row]} elements, those before have {lengths[0]}"
            )
    dim = len(values) // len(column)
    matrix: Array = values.to_numpy(zero_copy_only=False).reshape(len(column), dim)
    return matrix


def _objects(rows: list[dict[str, Any]]) -> list[Metadata | None]:
    """Metadata of rows of a table: what is missing is left out."""
    objects: list[Metadata | None] = []
    for row in rows:
        kept = {str(name): value for name, value in row.items() if not _is_missing(value)}
        nested = kept.get("metadata")
        if set(kept) == {"metadata"} and isinstance(nested, dict):
            kept = nested
        objects.append(kept or None)
    return objects


def _is_missing(value: object) -> bool:
    # Without importing pandas, whose missing values cannot be asked whether they are equal.
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, (float, np.floating)) and bool(value != value)


def to_pandas(collection: "Collection") -> Any:
    """As `Collection.to_pandas`."""
    import pandas

    records = [
        record
        for ids in _batches(collection.list_ids())
        for record in collection.get_many(ids)
        if record is not None
    ]
    return pandas.DataFrame(
        {
            "id": [record.id for record in records],
            "vector": [record.vector for record in records],
            "metadata": [record.metadata for record in records],
        }
    )


def _batches(ids: list[int | str]) -> Iterator[list[int | str]]:
    for first in range(0, len(ids), _ROWS):
        yield ids[first : first + _ROWS]


def add_pandas(collection: "Collection", frame: Any) -> None:
    """As `Collection.add_pandas`."""
    if "vector" not in frame.columns:
        raise ValidationError(
            f"the frame has no column vector, only {', '.join(map(str, frame.columns))}"
        )
    rest = [name for name in frame.columns if name not in ("vector", "id")]

    def parts() -> Iterator[Part]:
        for first in range(0, len(frame), _ROWS):
            part = frame.iloc[first : first + _ROWS]
            yield Part(
                _stack(part["vector"], first),
                part["id"].tolist() if "id" in frame.columns else None,
                _objects(part[rest].to_dict("records")) if rest else None,
            )

    _check(collection, parts(), len(frame))
    _store(collection, parts(), len(frame), lambda done: None)


def _stack(column: Any, first: int) -> Array:
    """The vectors of a column of objects; errors count rows from `first`."""
    rows = [as_array(one, f"vector {first + row}") for row, one in enumerate(column)]
    for row, one in enumerate(rows):
        if one.shape != rows[0].shape or one.ndim != 1:
            raise ValidationError(
                f"vector {first + row} has shape {one.shape}, those before have {rows[0].shape}"
                if one.ndim == 1
                else f"vector {first + row} has shape {one.shape}, expected [dim]"
            )
    return np.stack(rows)
