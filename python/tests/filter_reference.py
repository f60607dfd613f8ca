"""What docs/FILTERS.md says, in Python and apart from the library: to compare the library with."""

import re
from datetime import datetime, timedelta, timezone
from typing import Any

_DATE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))",
    re.ASCII,
)


def matches(filter: dict[str, Any], metadata: dict[str, Any]) -> bool:
    return all(_member(name, wanted, metadata) for name, wanted in filter.items())


def _member(name: str, wanted: Any, metadata: dict[str, Any]) -> bool:
    if name == "$and":
        return all(matches(one, metadata) for one in wanted)
    if name == "$or":
        return any(matches(one, metadata) for one in wanted)
    if name == "$nor":
        return not any(matches(one, metadata) for one in wanted)
    if name == "$not":
        return not matches(wanted, metadata)
    return _condition(_values(_names(name), metadata), wanted)


def _names(path: str) -> list[str]:
    parts = re.findall(r"((?:\\.|[^.\\])*)(?:\.|$)", path, re.DOTALL)
    # The pattern matches once more at the end of all but an open dot.
    parts = parts if path.endswith(".") and not path.endswith("\\.") else parts[:-1] or parts
    return [re.sub(r"\\(.)", r"\1", part) for part in parts]


def _values(names: list[str], value: Any) -> list[Any]:
    if not names:
        return [value]
    if isinstance(value, list):
        return [v for one in value if isinstance(one, dict) for v in _values(names, one)]
    if isinstance(value, dict) and names[0] in value:
        return _values(names[1:], value[names[0]])
    return []


def _condition(values: list[Any], wanted: Any) -> bool:
    if not isinstance(wanted, dict) or "$date" in wanted:
        wanted = {"$eq": wanted}
    one_by_one = [one for v in values for one in ([v, *v] if isinstance(v, list) else [v])]
    if not values:
        one_by_one = [None]

    def some(operator: str, operand: Any) -> bool:
        return any(_compare(operator, one, operand) for one in one_by_one)

    comparisons = [pair for pair in wanted.items() if pair[0] in _COMPARISONS]
    if comparisons and not any(
        all(_compare(operator, one, operand) for operator, operand in comparisons)
        for one in one_by_one
    ):
        return False
    others = {
        "$ne": lambda operand: not some("$eq", operand),
        "$nin": lambda operand: not some("$in", operand),
        "$not": lambda operand: not _condition(values, operand),
        "$exists": lambda operand: bool(values) == operand,
        "$all": lambda operand: bool(operand) and all(some("$eq", one) for one in operand),
        "$contains": lambda operand: any(
            isinstance(v, list) and any(_equal(one, operand) for one in v) for v in values
        ),
    }
    return all(others[name](operand) for name, operand in wanted.items() if name in others)


_COMPARISONS = ("$eq", "$in", "$gt", "$gte", "$lt", "$lte", "$prefix")


def _compare(operator: str, one: Any, operand: Any) -> bool:
    if operator == "$eq":
        return _equal(one, operand)
    if operator == "$in":
        return any(_equal(one, wanted) for wanted in operand)
    if operator == "$prefix":
        return isinstance(one, str) and one.startswith(operand)
    left, right = _keys(one, operand)
    if left is None or right is None or left[0] != right[0]:
        return False
    if operator in ("$gt", "$lt"):
        return bool(left > right if operator == "$gt" else left < right)
    return bool(left >= right if operator == "$gte" else left <= right)


def _equal(one: Any, operand: Any) -> bool:
    if isinstance(operand, list):
        return isinstance(one, list) and len(one) == len(operand) and all(map(_equal, one, operand))
    if operand is None or isinstance(operand, bool):
        return one is operand
    left, right = _keys(one, operand)
    return left is not None and left == right


def _keys(one: Any, operand: Any) -> tuple[Any, Any]:
    """What the two are ordered by, as the operand asks for."""
    if isinstance(operand, dict):
        date = date_of(one)
        return date and ("date", date), ("date", date_of(operand["$date"]))
    return _key(one), _key(operand)


def _key(value: Any) -> tuple[str, Any] | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        value = float(value)
    return ("string" if isinstance(value, str) else "number", value)


def date_of(value: Any) -> datetime | None:
    found = _DATE.fullmatch(value) if isinstance(value, str) else None
    if not found:
        return None
    year, month, day, hour, minute, second, fraction, _, sign, hours, minutes = found.groups()
    try:
        zone = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
        if int(hours or 0) > 23 or int(minutes or 0) > 59:
            return None
        local = datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second),
            int(((fraction or "") + "000000")[:6]), timezone.utc,
        )  # fmt: skip
        return local + zone if sign == "-" else local - zone
    except (ValueError, OverflowError):
        return None
