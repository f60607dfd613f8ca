"""Filters against three judges: docs/FILTERS.md in Python, mongomock, and Qdrant's local mode."""

import datetime
import itertools
import json
import os
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filter_reference
import mongomock.filtering
import pytest
from filter_samples import Language
from qdrant_client import models
from qdrant_client.local.payload_filters import check_filter, check_match

import omendb

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "FILTERS.md"
COUNT = int(os.environ.get("OMENDB_FILTER_COUNT", "10000"))
SEED = int(os.environ.get("OMENDB_FILTER_SEED", "20261128"))


def rows(head: str) -> list[list[str]]:
    """The cells of the document's tables that have this head."""
    found = []
    for part in DOCUMENT.read_text().split(f"\n{head}\n")[1:]:
        for line in part.split("\n")[1:]:
            if not line.startswith("| "):
                break
            found.append([cell.strip("`") for cell in line[2:-2].split(" | ")])
    assert found, head
    return found


def compare(language: Language, other: Callable[[dict[str, Any], dict[str, Any]], bool]) -> None:
    """Asks both about `COUNT` filters, each on two metadata."""
    truths = 0
    refused = 0
    for number in range(COUNT):
        given = language.filter()
        try:
            ours = omendb.Filter(given)
        except omendb.ValidationError as error:
            # What the language has, but not together: a date and a string as one value.
            assert "two conditions in $and" in str(error), (SEED, given, error)
            refused += 1
            continue
        for metadata in [language.metadata() for _ in range(2)]:
            answer = ours.matches(metadata)
            assert answer == other(given, metadata), (SEED, number, answer, given, metadata)
            truths += answer
    # Otherwise filters and metadata hardly meet, and little is compared.
    assert COUNT * 2 * 0.2 < truths < COUNT * 2 * 0.8, truths
    assert refused < COUNT * 0.05, refused


def test_answers_are_those_of_the_document() -> None:
    print("seed", SEED)
    compare(Language(random.Random(SEED)), filter_reference.matches)


def test_the_reference_agrees_with_the_document() -> None:
    for given, metadata, answer in rows("| filter | metadata | true |"):
        found = filter_reference.matches(json.loads(given), json.loads(metadata))
        assert found == (answer == "yes"), (given, metadata)


def test_every_line_of_the_document_is_true_in_python() -> None:
    for given, metadata, answer in rows("| filter | metadata | true |"):
        # -0.0 and the digits of 1e2 are for Swift's tests: Python writes its own.
        found = omendb.Filter(json.loads(given)).matches(json.loads(metadata))
        assert found == (answer == "yes"), (given, metadata)
    for given, metadata, answer in rows("| where | metadata | true |"):
        found = omendb.Filter(where=given).matches(json.loads(metadata))
        assert found == (answer == "yes"), (given, metadata)
    for given, message in rows("| where | message |"):
        with pytest.raises(omendb.ValidationError, match=re.escape(message)):
            omendb.Filter(where=given)


# MARK: mongomock


def mongo(given: dict[str, Any], metadata: dict[str, Any]) -> bool:
    """What mongomock says; it has `$not` only on a path."""

    def written(one: dict[str, Any]) -> dict[str, Any]:
        return {
            "$nor" if name == "$not" else name: [written(wanted)]
            if name == "$not"
            else [written(each) for each in wanted]
            if name in ("$and", "$or", "$nor")
            else wanted
            for name, wanted in one.items()
        }

    return bool(mongomock.filtering.filter_applies(written(given), metadata))


MONGO = {
    "zero_and_one": False,
    "nulls": False,
    "odd_names": False,
    "lists_in_lists": False,
    "dates": False,
    "together": False,
}
COMPARING = ("", "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin")


def test_answers_are_those_of_mongomock() -> None:
    print("seed", SEED + 1)
    compare(Language(random.Random(SEED + 1), **MONGO, operators=COMPARING), mongo)


def test_answers_are_those_of_mongomock_without_lists_of_objects() -> None:
    print("seed", SEED + 2)
    language = Language(
        random.Random(SEED + 2),
        **MONGO,
        through_lists=False,
        empty_lists=False,
        operators=(*COMPARING, "$all", "$exists"),
    )
    compare(language, mongo)


def test_differences_from_mongomock_are_documented() -> None:
    differ("| filter | metadata | here | mongomock | why |", mongo)


def differ(head: str, other: Callable[[dict[str, Any], dict[str, Any]], bool]) -> None:
    for given, metadata, ours, theirs, _ in rows(head):
        filter, values = json.loads(given), json.loads(metadata)
        assert omendb.Filter(filter).matches(values) == (ours == "yes"), given
        assert other(filter, values) == (theirs == "yes"), given


# MARK: Qdrant


def qdrant(given: dict[str, Any], metadata: dict[str, Any]) -> bool:
    found = check_filter(_all(given), metadata, point_id=0, has_vector={})
    return bool(found)


def _all(given: dict[str, Any]) -> models.Filter:
    return models.Filter(must=[_member(name, wanted) for name, wanted in given.items()])


def _member(name: str, wanted: Any) -> models.Filter:
    if name == "$not":
        return models.Filter(must_not=[_all(wanted)])
    if name in ("$and", "$or", "$nor"):
        role = {"$and": "must", "$or": "should", "$nor": "must_not"}[name]
        return models.Filter(**{role: [_all(one) for one in wanted]})
    if not isinstance(wanted, dict) or "$date" in wanted:
        wanted = {"$eq": wanted}
    # A list on the way has to be named.
    names = name.split(".")
    keys = [
        ".".join(map(str.__add__, names, [*marks, ""]))
        for marks in itertools.product(["", "[]"], repeat=len(names) - 1)
    ]
    return _operators(keys, wanted)


def _operators(keys: list[str], wanted: dict[str, Any]) -> models.Filter:
    must: list[Any] = []
    must_not: list[Any] = []
    bounds = {name[1:]: value for name, value in wanted.items() if name[1:3] in ("gt", "lt")}
    dates = {name: date["$date"] for name, date in bounds.items() if isinstance(date, dict)}
    numbers = {name: value for name, value in bounds.items() if name not in dates}
    if dates:
        must.append(_some(keys, range=models.DatetimeRange(**dates)))
    if numbers:
        must.append(_some(keys, range=models.Range(**numbers)))
    for name, operand in wanted.items():
        if name == "$eq":
            must.append(_equal(keys, operand))
        elif name == "$ne":
            must_not.append(_equal(keys, operand))
        elif name in ("$in", "$nin"):
            either = models.Filter(should=[_equal(keys, one) for one in operand])
            (must if name == "$in" else must_not).append(either)
        elif name == "$all":
            must += [_equal(keys, one) for one in operand]
        elif name == "$prefix":
            must.append(_some(keys, match=models.MatchPrefix(prefix=operand)))
        elif name == "$exists":
            (must_not if operand else must).append(_missing(keys))
        elif name == "$not":
            must_not.append(_operators(keys, operand))
    return models.Filter(must=must, must_not=must_not)


def _some(keys: list[str], **condition: Any) -> models.Filter:
    return models.Filter(should=[models.FieldCondition(key=key, **condition) for key in keys])


def _equal(keys: list[str], operand: Any) -> models.Filter:
    if operand is None:
        null = [models.IsNullCondition(is_null=models.PayloadField(key=key)) for key in keys]
        return models.Filter(should=[*null, _missing(keys)])
    if isinstance(operand, dict):
        date = operand["$date"]
        return _some(keys, range=models.DatetimeRange(gte=date, lte=date))
    if isinstance(operand, (int, float)) and not isinstance(operand, bool):
        return _some(keys, range=models.Range(gte=operand, lte=operand))
    return _some(keys, match=models.MatchValue(value=operand))


def _missing(keys: list[str]) -> models.Filter:
    """It cannot tell an empty list from no value, and a null only by another condition."""
    fields = [models.PayloadField(key=key) for key in keys]
    return models.Filter(
        must=[models.IsEmptyCondition(is_empty=field) for field in fields],
        must_not=[models.IsNullCondition(is_null=field) for field in fields],
    )


def test_answers_are_those_of_qdrant() -> None:
    print("seed", SEED + 3)
    language = Language(
        random.Random(SEED + 3),
        large_numbers=False,
        odd_names=False,
        odd_dates=False,
        empty_lists=False,
        lists_in_lists=False,
        whole_lists=False,
        string_order=False,
        together=False,
        operators=(*COMPARING, "$exists", "$all", "$prefix", "$not"),
    )
    compare(language, qdrant)


def test_differences_from_qdrant_are_documented() -> None:
    differ("| filter | metadata | here | Qdrant | why |", qdrant)
    assert not check_match(models.MatchValue(value=1), 1.0)
    assert omendb.Filter({"a": 1}).matches({"a": 1.0})


# MARK: The class


def test_both_forms_are_one_filter() -> None:
    one = omendb.Filter({"section": "science", "size": {"$gte": 1000}})
    other = omendb.Filter(where="section = 'science' and size >= 1000")
    assert one == other and hash(one) == hash(other)
    assert one != omendb.Filter({}) and one != "section"
    assert one.json == '{"$and":[{"section":{"$eq":"science"}},{"size":{"$gte":1000}}]}'
    assert repr(omendb.Filter({})) == "Filter({})"
    assert omendb.Filter(json.loads(one.json)) == one
    assert one.matches({"section": "science", "size": 2000}) and not one.matches(None)


def test_a_datetime_is_a_date() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=1))
    when = datetime.datetime(2026, 11, 28, 20, 0, 0, 250_000, zone)
    filter = omendb.Filter({"a": {"$gte": when}})
    assert filter.json == '{"a":{"$gte":{"$date":"2026-11-28T19:00:00.250000Z"}}}'
    assert filter.matches({"a": "2026-11-28T19:00:00.25Z"})
    with pytest.raises(omendb.ValidationError, match="expected a date such as"):
        omendb.Filter({"a": when.replace(tzinfo=None)})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "either a filter or where"),
        ({"filter": {}, "where": "a = 1"}, "either a filter or where"),
        ({"filter": [1]}, "filter is a list, expected a dict"),
        ({"filter": "a = 1"}, "filter is a str, expected a dict"),
        ({"where": {"a": 1}}, "where is a dict, expected a str"),
        ({"filter": {"a": float("nan")}}, "cannot be written as JSON"),
        ({"filter": {"a": {1, 2}}}, "set is no value of a filter"),
        ({"filter": {"a": "\ud800"}}, "half of a surrogate pair"),
        ({"where": "a = '\ud800'"}, "half of a surrogate pair"),
        ({"filter": {"a": 10**400}}, "beyond 64 bits of floating point"),
        ({"filter": {"a": {"$in": list(range(10**6))}}}, "bytes, expected at most 1048576"),
        ({"where": "a = 'x\0" + "y" * (64 << 20) + "'"}, "bytes, expected at most 1048576"),
        ({"filter": {"b": 1, "a": {"$gt": None}}}, "\\$.a.\\$gt is null"),
    ],
)
def test_wrong_filters_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(omendb.ValidationError, match=message):
        omendb.Filter(**given)


def test_nested_filters_are_refused_in_bounded_time() -> None:
    deep: dict[str, Any] = {"a": 1}
    for _ in range(500):
        deep = {"$not": deep}
    with pytest.raises(omendb.ValidationError, match="expected at most 32 levels"):
        omendb.Filter(deep)
    for _ in range(100_000):
        deep = {"$not": deep}
    with pytest.raises(omendb.ValidationError, match="recursion"):
        omendb.Filter(deep)


def test_metadata_that_would_not_be_stored_is_refused() -> None:
    filter = omendb.Filter({"a": 1})
    with pytest.raises(omendb.ValidationError, match="65536"):
        filter.matches({"a": "x" * 70_000})
    with pytest.raises(omendb.ValidationError, match="expected a dict"):
        filter.matches([1])  # type: ignore[arg-type]


def test_a_zero_byte_is_a_character() -> None:
    assert omendb.Filter({"a\0b": "x\0y"}).matches({"a\0b": "x\0y"})
    assert not omendb.Filter({"a\0b": "x\0y"}).matches({"a\0b": "x\0z"})
    assert omendb.Filter(where="a = 'x\0y'").matches({"a": "x\0y"})
    assert omendb.Filter(where="a = 'x\0y'").json == '{"a":{"$eq":"x\\u0000y"}}'
