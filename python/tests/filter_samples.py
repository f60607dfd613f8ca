"""Random filters and metadata, of few names and values, so that they often meet."""

import random
from dataclasses import dataclass
from typing import Any

_STRINGS = ["", "a", "b", "ab", "B", "é", "\uffee", "\U0001f600", "1", "true", "a.b", "2026"]
_DATES = [
    "2026-11-28T19:00:00Z",
    "2026-11-28T20:00:00+01:00",
    "2026-11-28T19:00:00.000001Z",
    "2024-02-29T23:59:59.5-11:30",
    "1970-01-01T00:00:00Z",
]
_NO_DATES = ["2026-02-30T00:00:00Z", "2026-11-28", "2026-11-28T19:00:00", "2026-11-28T19:00Z"]
_WHOLE = [-7, 2, 3, 5, 10]
_LARGE = [2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**25, -(2**63)]
_FLOATS = [2.0, 2.5, -0.5, 1e22, 9007199254740992.0, 0.1]


@dataclass
class Language:
    """What filters and metadata are made of: the whole language, or what others have, too."""

    random: random.Random
    # Numbers equal to a bool in Python.
    zero_and_one: bool = True
    large_numbers: bool = True
    bools: bool = True
    nulls: bool = True
    odd_names: bool = True
    odd_dates: bool = True
    empty_lists: bool = True
    # Lists as operands.
    whole_lists: bool = True
    lists_in_lists: bool = True
    # Paths that lead through lists of objects.
    through_lists: bool = True
    string_order: bool = True
    dates: bool = True
    # Several operators on one path.
    together: bool = True
    operators: tuple[str, ...] = (
        "", "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$contains",
        "$all", "$prefix", "$not",
    )  # fmt: skip

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def number(self) -> Any:
        numbers = [*_WHOLE, *_FLOATS]
        numbers += [0, 1, 0.0, 1.0] if self.zero_and_one else []
        numbers += _LARGE if self.large_numbers and self.chance(0.3) else []
        return self.random.choice(numbers)

    def scalar(self) -> Any:
        kinds: list[Any] = [self.number, self.number, lambda: self.random.choice(_STRINGS)]
        if self.bools:
            kinds.append(lambda: self.chance(0.5))
        if self.nulls:
            kinds.append(lambda: None)
        if self.dates:
            kinds.append(lambda: self.random.choice(_DATES + (_NO_DATES if self.odd_dates else [])))
        return self.random.choice(kinds)()

    def names(self) -> list[str]:
        return ["a", "b", "c", *(["", "a.b", "$d", "0", "x\\y"] if self.odd_names else [])]

    # Metadata

    def metadata(self, depth: int = 0) -> dict[str, Any]:
        names = self.random.sample(self.names(), self.random.randint(0, 3))
        return {name: self.value(depth + 1) for name in names}

    def value(self, depth: int) -> Any:
        if depth < 4 and self.chance(0.3):
            return self.metadata(depth)
        if not self.chance(0.35):
            return self.scalar()
        if depth < 4 and self.through_lists and self.chance(0.4):
            return [self.metadata(depth) for _ in range(self.random.randint(1, 3))]
        values = [self.scalar() for _ in range(self.random.randint(not self.empty_lists, 3))]
        if self.lists_in_lists and self.chance(0.2):
            values.append([self.scalar()])
        return values

    # Filters

    def filter(self, depth: int = 0) -> dict[str, Any]:
        if depth < 3 and self.chance(0.35):
            name = self.random.choice(["$and", "$or", "$nor", "$not"])
            if name == "$not":
                return {name: self.filter(depth + 1)}
            return {name: [self.filter(depth + 1) for _ in range(self.random.randint(1, 3))]}
        if self.chance(0.02):
            return {}
        return dict(self.condition() for _ in range(1 if self.chance(0.8) else 2))

    def path(self) -> str:
        names = [self.random.choice(self.names()) for _ in range(self.random.choice([1, 1, 2, 3]))]
        escaped = [name.replace("\\", "\\\\").replace(".", "\\.") for name in names]
        path = ".".join(escaped)
        return "\\" + path if path.startswith("$") else path

    def condition(self) -> tuple[str, Any]:
        path = self.path()
        operator = self.random.choice(self.operators)
        if not operator:
            return path, self.operand()
        operators = {operator: self.given(operator)}
        if self.together and self.chance(0.4):
            other = self.random.choice([one for one in self.operators if one])
            operators.setdefault(other, self.given(other))
        return path, operators

    def operand(self) -> Any:
        if self.dates and self.chance(0.1):
            return {"$date": self.random.choice(_DATES)}
        return self.list() if self.whole_lists and self.chance(0.1) else self.scalar()

    def list(self) -> list[Any]:
        return [self.scalar() for _ in range(self.random.randint(not self.empty_lists, 3))]

    def given(self, operator: str) -> Any:
        if operator in ("$gt", "$gte", "$lt", "$lte"):
            if self.dates and self.chance(0.2):
                return {"$date": self.random.choice(_DATES)}
            if self.string_order and self.chance(0.3):
                return self.random.choice(_STRINGS)
            return self.number()
        if operator in ("$in", "$nin", "$all"):
            one = self.operand if self.lists_in_lists else self.scalar
            return [one() for _ in range(self.random.randint(not self.empty_lists, 3))]
        if operator == "$exists":
            return self.chance(0.5)
        if operator == "$prefix":
            return self.random.choice(_STRINGS)
        if operator == "$not":
            other = self.random.choice([one for one in self.operators if one])
            return {other: self.given(other)} if other != "$not" else {"$eq": self.scalar()}
        return self.operand()
