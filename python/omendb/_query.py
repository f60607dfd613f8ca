"""What a search is asked, beside the vectors."""

from typing import Any, NamedTuple

import numpy as np

from . import _convert, _library
from ._convert import Metadata
from .errors import ValidationError

# What other databases, or people, call the arguments of a search.
_BY_HABIT = {
    **dict.fromkeys(("k", "top_k", "topk", "n_results", "n"), "limit"),
    **dict.fromkeys(("ef_search", "search_ef"), "ef"),
    **dict.fromkeys(("include_vectors", "include_vector", "with_vectors"), "with_vector"),
    "where": "filter",
}


def refuse(unknown: dict[str, Any]) -> None:
    """Says what an argument is called here that a search does not have."""
    for name in unknown:
        known = _BY_HABIT.get(name)
        hint = f"; it is called {known}" if known else ""
        raise TypeError(f"a search has no argument {name}{hint}")


def check(limit: int, filter: Metadata | None) -> None:
    """Refuses what no collection can answer."""
    if filter is not None:
        raise ValidationError("the engine has no filters yet; filter must be None")
    if not _convert.is_number(limit) or not 1 <= limit <= 10_000:
        raise ValidationError(f"limit is {limit!r}, expected 1...10000")


class Options(NamedTuple):
    """The options of a search, as its caller gave them."""

    limit: int
    ef: int | None
    recall: float | None
    exact: bool
    max_distance: float | None
    with_vector: bool
    with_metadata: bool = True
    allow_partial: bool = False
    explain: bool = False

    def fill(self, query: _library.Query) -> None:
        query.limit = self.limit
        query.ef = 0 if self.ef is None else _convert.whole("ef", self.ef, 1)
        if self.recall is not None and not 0 < self.recall < 1:
            raise ValidationError(f"recall is {self.recall!r}, expected above 0 and below 1")
        query.recall = 0 if self.recall is None else self.recall
        query.max_distance = np.inf if self.max_distance is None else self.max_distance
        query.exact = bool(self.exact)
        query.with_vector = self.with_vector
        query.with_metadata = self.with_metadata
        query.allow_partial = bool(self.allow_partial)
        query.explain = bool(self.explain)
