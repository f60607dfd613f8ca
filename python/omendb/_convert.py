"""What users pass in, as the columns that the library reads.

Arrays are read where they lie if their elements are float32, float16, uint8 or int8, in native byte
order, and each row is contiguous. Everything else is converted once, a few megabytes at a time: to
float32, or where only the layout differs to rows one behind the other.
"""

import json
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from ._library import READ_ELEMENTS, Ids
from .errors import ValidationError

Id: TypeAlias = int | str | uuid.UUID
"""A record's name: a number from 0 to 2**64 - 1, or a text of 1...512 bytes of UTF-8. A UUID is
stored, and comes back, as its text."""
Metadata: TypeAlias = Mapping[str, Any]
Array: TypeAlias = npt.NDArray[Any]

_NUMBER_MAX = 2**64 - 1
_NAME = re.compile("[a-z0-9_-]{1,64}")
# Of elements, as the library has them.
_MAGNITUDE_MAX = 1e15
_MAGNITUDE_MIN = 1e-15
_F32_LEAST = np.float32(np.finfo(np.float32).smallest_subnormal)
_METADATA_BYTES_MAX = 64 << 10
_JSON_DEPTH_MAX = 32
# What a float64 rounds to infinity.
_WHOLE_MAX = 2**1024 - 2**970
# Bytes of float32 that are converted at a time.
_PIECE_BYTES = 4 << 20
READ_IN_PLACE = tuple(np.dtype(name) for name in READ_ELEMENTS)


def as_array(vectors: Any, what: str) -> Array:
    """`vectors` as an array, without a copy where it is one: NumPy, buffers, memory maps, torch."""
    refuse_masks(vectors, what)
    if not isinstance(vectors, np.ndarray):
        # What asarray knows may have DLPack, too; what it does not know it wraps as one object.
        only_dlpack = hasattr(vectors, "__dlpack__") and not hasattr(vectors, "__array__")
        try:
            vectors = np.from_dlpack(vectors) if only_dlpack else np.asarray(vectors)
        except (ValueError, TypeError, RuntimeError, BufferError) as error:
            raise ValidationError(f"{what} cannot be read as an array: {error}") from error
    if vectors.dtype == object:
        _refuse_missing(vectors, what)
    if vectors.dtype.kind not in "fiu":
        raise ValidationError(
            f"{what} has elements of type {vectors.dtype}, expected real numbers of one length"
        )
    array: Array = vectors
    return array


def _refuse_missing(values: Array, what: str) -> None:
    """Names the first value that is missing among objects, if one is."""
    for place, one in np.ndenumerate(values):
        if one is None or type(one).__name__ in ("NAType", "NaTType", "MaskedConstant"):
            shown = ", ".join(map(str, place))
            raise ValidationError(f"{what} has a missing value, {one}, at [{shown}]")


def refuse_masks(given: Any, what: str) -> None:
    """Masks are not stored: what is under one must not be taken for a value."""
    if isinstance(given, np.ma.MaskedArray):
        raise ValidationError(
            f"{what} is a masked array, and masks are not stored: .filled(value) makes an array"
        )
    if isinstance(given, (list, tuple)):
        if any(issubclass(kind, np.ma.MaskedArray) for kind in set(map(type, given))):
            place = next(i for i, one in enumerate(given) if isinstance(one, np.ma.MaskedArray))
            raise ValidationError(
                f"{what} has a masked value or array at place {place}, and masks are not stored: "
                ".filled(value) makes an array"
            )
    # Data frames and series, whose missing values NumPy shows as objects or as NaN.
    elif type(given).__module__.partition(".")[0] == "pandas" and hasattr(given, "isna"):
        missing = np.asarray(given.isna())
        if missing.any():
            row = int(np.argwhere(missing)[0][0])
            raise ValidationError(
                f"{what} has a missing value in row {row}: .fillna(value) fills it"
            )


def as_matrix(vectors: Any, what: str = "vectors") -> Array:
    """The same with two dimensions."""
    array = as_array(vectors, what)
    if array.ndim != 2:
        raise ValidationError(f"{what} has shape {array.shape}, expected [count, dim]")
    return array


def as_vector(vector: Any, what: str = "vector") -> Array:
    """One vector of elements that are read in place, not always contiguous."""
    array = as_array(vector, what)
    if array.ndim != 1:
        raise ValidationError(f"{what} has shape {array.shape}, expected [dim]")
    if array.dtype in READ_IN_PLACE:
        return array
    converted: Array = _as_f32(array[None, :])[0]
    return converted


def _as_f32(rows: Array) -> Array:
    """Numbers too large become infinite, and rows of nothing but numbers too small get the smallest
    there is, so that the library refuses both by name."""
    with np.errstate(over="ignore", under="ignore"):
        converted: Array = np.ascontiguousarray(rows, dtype=np.float32)
    if rows.dtype.kind == "f" and not converted.all():
        for row in np.flatnonzero(~converted.any(axis=1)):
            lost = rows[row] != 0
            converted[row, lost] = np.copysign(_F32_LEAST, rows[row, lost])
    return converted


def is_read_in_place(matrix: Array) -> bool:
    row_bytes = matrix.shape[1] * matrix.itemsize
    is_row_contiguous = matrix.shape[1] <= 1 or matrix.strides[1] == matrix.itemsize
    is_ascending = matrix.shape[0] <= 1 or matrix.strides[0] >= row_bytes
    return matrix.dtype in READ_IN_PLACE and is_row_contiguous and is_ascending


def _piece_starts(matrix: Array) -> range:
    return range(0, len(matrix), max(1, _PIECE_BYTES // max(1, 4 * matrix.shape[1])))


def pieces(matrix: Array) -> Iterator[tuple[int, Array]]:
    """The rows as arrays that the library can read, with the number of each one's first row.

    One array where they are read in place.
    """
    if is_read_in_place(matrix):
        yield 0, matrix
        return
    starts = _piece_starts(matrix)
    for first in starts:
        rows = matrix[first : first + starts.step]
        yield first, np.ascontiguousarray(rows) if rows.dtype in READ_IN_PLACE else _as_f32(rows)


def check(matrix: Array, metric: str, element: str) -> None:
    """Finds what the library would refuse in a later piece, when others were stored already."""
    if is_cut(matrix):
        check_all(matrix, metric, element)


def is_cut(matrix: Array) -> bool:
    """Whether `pieces` are several."""
    return not is_read_in_place(matrix) and len(_piece_starts(matrix)) > 1


def check_all(
    matrix: Array, metric: str, element: str, what: str = "vector", first_row: int = 0
) -> None:
    """Finds what the library would refuse, and names its row in the whole matrix, which begins with
    number `first_row`."""
    starts = _piece_starts(matrix)
    for start in starts:
        first = first_row + start
        part = matrix[start : start + starts.step]
        if not part.shape[1]:
            return
        # Not a number where any element is not.
        largest = np.maximum(
            part.max(axis=1).astype(np.float64), -part.min(axis=1).astype(np.float64)
        )
        for row in np.flatnonzero(~(largest <= _MAGNITUDE_MAX)):
            values = part[row].astype(np.float64)
            place = int(np.argmin(np.abs(values) <= _MAGNITUDE_MAX))
            raise ValidationError(
                f"{what} {first + row} element {place} is {values[place]}, expected a finite "
                f"number of magnitude at most {_MAGNITUDE_MAX:g}"
            )
        if element == "u8":
            _check_whole(part, first)
        for row in np.flatnonzero(largest < _MAGNITUDE_MIN):
            if largest[row] > 0:
                place = int(np.argmax(np.abs(part[row])))
                raise ValidationError(
                    f"{what} {first + row} is nearly zero: its largest element {place} is "
                    f"{part[row, place]}, expected a magnitude of at least {_MAGNITUDE_MIN:g}, or "
                    "zeros only"
                )
            if metric == "cosine":
                raise ValidationError(
                    f"{what} {first + row} is zero, which has no direction for metric cosine"
                )


def _check_whole(part: Array, first: int) -> None:
    wrong = (part < 0) | (part > 255) | (part != np.floor(part))
    for row, place in np.argwhere(wrong)[:1]:
        raise ValidationError(
            f"vector {first + row} element {place} is {part[row, place]}, the collection stores "
            "u8: whole numbers 0...255"
        )


def name_of(name: object) -> bytes:
    """A collection's name, checked before anything is asked about it."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        shown = repr(name[:70]) if isinstance(name, str) else repr(name)
        raise ValidationError(f"collection name {shown}: expected 1...64 of a-z 0-9 _ -")
    return name.encode()


def path_of(path: object, what: str = "path") -> str:
    """A path from the root, as it is given to the library and to the program."""
    try:
        name = os.fsdecode(cast(Any, path))
    except TypeError:
        raise ValidationError(
            f"{what} is of type {type(path).__name__}, expected str, bytes or a path"
        ) from None
    if not name:
        raise ValidationError(f"{what} is empty")
    if "\0" in name:
        raise ValidationError(f"{what} {name!r} has a zero byte")
    full = os.path.abspath(name)
    try:
        full.encode("utf-8")
    except UnicodeEncodeError:
        raise ValidationError(f"{what} {full!r} is not UTF-8") from None
    return full


def element_of(array: Array) -> int:
    return READ_ELEMENTS[array.dtype.name]


class IdColumns:
    """Ids in columns, and the memory that they lie in; errors call the first one's row `first`."""

    def __init__(self, ids: Iterable[Id] | Array, first: int = 0) -> None:
        self._first = first
        self.numbers: Array | None = None
        self.kinds: Array | None = None
        self.offsets: Array | None = None
        self.texts = b""
        if not isinstance(ids, list):
            refuse_masks(ids, "ids")
        if isinstance(ids, np.ndarray) and ids.dtype.kind in "iu":
            self._take_array(ids)
        elif isinstance(ids, range):
            self._take_array(np.arange(ids.start, ids.stop, ids.step))
        elif isinstance(ids, (str, bytes)):
            raise ValidationError(f"ids is the text {ids!r}, expected a list of ids")
        else:
            self._take_list(list(ids))

    def _take_array(self, ids: Array) -> None:
        if ids.ndim != 1:
            raise ValidationError(f"ids has shape {ids.shape}, expected [count]")
        if ids.dtype.kind == "i" and len(ids) and ids.min() < 0:
            row = int(np.argmax(ids < 0))
            raise ValidationError(f"row {self._first + row}: id {ids[row]} is negative")
        self.numbers = np.ascontiguousarray(ids, dtype=np.uint64)

    def _take_list(self, ids: list[Id]) -> None:
        try:
            self._take_all(ids)
        except ValidationError:
            for row, one in enumerate(ids):
                try:
                    number_of(one) if is_number(one) else text_of(one)
                except ValidationError as error:
                    raise ValidationError(f"row {self._first + row}: {error}") from None
            raise

    def _take_all(self, ids: list[Id]) -> None:
        if not any(isinstance(one, (str, uuid.UUID)) for one in ids):
            self.numbers = np.fromiter((number_of(one) for one in ids), np.uint64, len(ids))
            return
        parts = [b"" if is_number(one) else text_of(one) for one in ids]
        self.texts = b"".join(parts)
        self.offsets = np.zeros(len(ids) + 1, np.uint64)
        np.cumsum([len(part) for part in parts], out=self.offsets[1:])
        self.kinds = np.fromiter((0 if is_number(one) else 1 for one in ids), np.uint8, len(ids))
        self.numbers = np.fromiter(
            (number_of(one) if is_number(one) else 0 for one in ids), np.uint64, len(ids)
        )

    def __len__(self) -> int:
        return 0 if self.numbers is None else len(self.numbers)

    def structure(self, first: int = 0, count: int | None = None) -> Ids:
        """What the library reads: ids `first ..< first + count`."""
        given = Ids(len(self) - first if count is None else count)
        if self.numbers is not None:
            given.numbers = self.numbers.ctypes.data + 8 * first
        if self.kinds is not None and self.offsets is not None:
            given.kinds = self.kinds.ctypes.data + first
            given.text_offsets = self.offsets.ctypes.data + 8 * first
            given.texts = bytes_address(self.texts)
        return given


def is_number(one: object) -> bool:
    return isinstance(one, (int, np.integer)) and not isinstance(one, bool)


def number_of(one: object) -> int:
    if not is_number(one):
        raise ValidationError(
            f"id {one!r} is of type {type(one).__name__}, expected int, str or UUID"
        )
    number = int(cast(int, one))
    if not 0 <= number <= _NUMBER_MAX:
        raise ValidationError(f"id {number} is outside 0...{_NUMBER_MAX}")
    return number


def text_of(one: object) -> bytes:
    if isinstance(one, uuid.UUID):
        return str(one).encode()
    if not isinstance(one, str):
        raise ValidationError(
            f"id {one!r} is of type {type(one).__name__}, expected int, str or UUID"
        )
    try:
        text = one.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValidationError(
            f"id {one[:40]!r} has half of a surrogate pair at place {error.start}, which is no text"
        ) from error
    if not 1 <= len(text) <= 512:
        raise ValidationError(f"id {one[:40]!r} has {len(text)} bytes, expected 1...512")
    return text


class MetadataColumn:
    """Metadata objects as JSON texts one behind the other; errors call the first one's row
    `first`."""

    def __init__(self, metadata: Sequence[Metadata | None], count: int, first: int = 0) -> None:
        if isinstance(metadata, Mapping):
            raise ValidationError("metadata is one object, expected a list with one per vector")
        if len(metadata) != count:
            raise ValidationError(f"{len(metadata)} metadata objects for {count} vectors")
        parts: list[bytes] = []
        for one in metadata:
            try:
                parts.append(b"" if one is None else json_of(one))
            except ValidationError as error:
                raise ValidationError(f"row {first + len(parts)}: {error}") from error.__cause__
        self.texts = b"".join(parts)
        self.offsets = np.zeros(count + 1, np.uint64)
        np.cumsum([len(part) for part in parts], out=self.offsets[1:])

    def addresses(self, first: int) -> tuple[int, int]:
        """Of the offsets from record `first` on, and of the texts."""
        return self.offsets.ctypes.data + 8 * first, bytes_address(self.texts)


def json_of(metadata: Metadata) -> bytes:
    if not isinstance(metadata, Mapping):
        raise ValidationError(f"metadata is a {type(metadata).__name__}, expected a dict")
    encoded = encode(_encoder, dict(metadata), "metadata")
    _check_values(metadata, 1)
    if len(encoded) > _METADATA_BYTES_MAX:
        raise ValidationError(
            f"metadata has {len(encoded)} bytes, expected at most {_METADATA_BYTES_MAX}"
        )
    return encoded


def encode(encoder: json.JSONEncoder, value: Any, what: str) -> bytes:
    """A value as JSON text; errors call it `what`."""
    try:
        text = encoder.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValidationError(f"{what} cannot be written as JSON: {error}") from error
    return utf8(text, what)


def utf8(text: str, what: str) -> bytes:
    """A text in UTF-8; errors call it `what`."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        near = error.object[max(0, error.start - 20) : error.start + 1]
        raise ValidationError(
            f"{what} has half of a surrogate pair at the end of {near!r}, which is no text"
        ) from error


# Without space between tokens, which would count towards the limit.
_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _check_values(value: Any, depth: int) -> None:
    """Finds what the library would refuse, and JSON would not."""
    if depth > _JSON_DEPTH_MAX:
        raise ValidationError(f"metadata is nested deeper than {_JSON_DEPTH_MAX} levels")
    if isinstance(value, Mapping):
        if any(type(name) is not str for name in value):
            names = [_encoder.encode({name: 0}) for name in value]
            for name, text in zip(value, names, strict=True):
                if names.count(text) > 1:
                    raise ValidationError(f"metadata has the name {name!r} twice in one object")
        value = value.values()
    for one in value:
        kind = type(one)
        if kind is str:
            continue
        if isinstance(one, (Mapping, list, tuple)):
            _check_values(one, depth + 1)
        elif kind is int and not -_WHOLE_MAX < one < _WHOLE_MAX:
            raise ValidationError("metadata has a number that is beyond 64 bits of floating point")


def bytes_address(data: bytes) -> int:
    """Where the bytes lie; valid while `data` lives."""
    return int(np.frombuffer(data, np.uint8).ctypes.data) if data else 0


def choice(what: str, value: object, choices: dict[str, int]) -> None:
    if value not in choices:
        raise ValidationError(f"{what} is {value!r}, expected one of {', '.join(choices)}")


def whole(what: str, value: object, least: int = 0) -> int:
    if not is_number(value) or not least <= (number := cast(int, value)) <= 2**31:
        raise ValidationError(f"{what} is {value!r}, expected a whole number from {least} on")
    return int(number)
