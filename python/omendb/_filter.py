"""Conditions on metadata, as docs/FILTERS.md tells."""

import datetime
import json
from collections.abc import Mapping
from ctypes import byref, c_char_p, c_uint8, c_void_p, cast
from typing import Any

from . import _convert
from ._convert import Metadata
from ._library import FILTER_FORMS, call, library
from .errors import ValidationError


class Filter:
    """A condition on metadata.

        Filter({"section": "science", "size": {"$gte": 1000}})
        Filter(where="section = 'science' and size >= 1000")

    Both are the same filter. In the first form a `datetime` with a zone is a date, like
    `{"$date": "2026-11-28T19:05:53Z"}`. Raises `ValidationError` naming what is wrong.
    """

    __slots__ = ("_handle", "json")

    json: str
    """The filter as JSON text, which is the same for every way to write it."""

    def __init__(
        self, filter: Mapping[str, Any] | None = None, *, where: str | None = None
    ) -> None:
        self._handle = c_void_p()
        if (filter is None) == (where is None):
            raise ValidationError("expected either a filter or where, and not both")
        if where is not None:
            if not isinstance(where, str):
                raise ValidationError(f"where is a {type(where).__name__}, expected a str")
            form, text = "where", _convert.utf8(where, "where")
        else:
            if not isinstance(filter, Mapping):
                raise ValidationError(f"filter is a {type(filter).__name__}, expected a dict")
            form, text = "filter", _convert.encode(_ENCODER, dict(filter), "filter")
        call("omendb_filter_new", text, len(text), FILTER_FORMS[form], byref(self._handle))
        shown = c_void_p()
        call("omendb_filter_json", self._handle, byref(shown))
        try:
            self.json = (cast(shown, c_char_p).value or b"").decode()
        finally:
            library.omendb_text_free(shown)

    def matches(self, metadata: Metadata | None) -> bool:
        """Whether the filter is true for a record that has this metadata."""
        text = b"" if metadata is None else _convert.json_of(metadata)
        matches = c_uint8()
        call("omendb_filter_matches", self._handle, text, len(text), byref(matches))
        return matches.value == 1

    def __eq__(self, other: object) -> bool:
        return self.json == other.json if isinstance(other, Filter) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.json)

    def __repr__(self) -> str:
        return f"Filter({self.json})"

    def __del__(self) -> None:
        try:  # noqa: SIM105 - at the interpreter's end modules may be gone
            library.omendb_filter_free(self._handle)
        except Exception:
            pass


def _written(value: object) -> object:
    """What JSON has no type for."""
    if isinstance(value, datetime.datetime):
        return {"$date": value.isoformat()}
    raise TypeError(f"{type(value).__name__} is no value of a filter")


_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_written
)
