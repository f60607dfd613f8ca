"""What is read off measured points: values at a fixed recall, medians, percentiles.

Pure functions. A value between two measured points is interpolated; beyond them there is none.
"""

import math
import statistics
from dataclasses import dataclass

NOT_REACHED = "not reached"
EXCEEDED = "exceeded at every width"


@dataclass(frozen=True)
class Reading:
    """A value at a wanted recall, or why there is none.

    Where the narrowest search exceeds the recall, `least` is its point: the value at a recall that
    is better than wanted, and so no better a value than there is at the wanted one.
    """

    value: float | None
    reason: str = ""
    least: dict | None = None

    def json(self) -> dict:
        return {"value": self.value, "reason": self.reason, "least": self.least}


def known(reading: dict | None) -> float | None:
    """The value, or that of the narrowest search where it exceeds the recall; of a `json`."""
    if reading is None:
        return None
    return reading["value"] if reading["least"] is None else reading["least"]["value"]


def text(reading: dict, digits: int = 0) -> str:
    """The value for a table, or what there is instead."""
    if reading["value"] is not None:
        return f"{reading['value']:,.{digits}f}"
    if reading["least"] is not None:
        return f"{reading['least']['value']:,.{digits}f} (at {reading['least']['recall']:.3f})"
    return reading["reason"]


def at_recall(points: list[dict], recall: float, key: str) -> Reading:
    """`points[...][key]` where recall is `recall`.

    Points are ascending by the width of the search. Between the first two neighbours that have the
    wanted recall between them, the logarithm of the value is linear in the recall. Nothing is
    extrapolated: when no measured point reaches the recall, or all exceed it, there is no value.
    """
    if not points:
        return Reading(None, "not measured")
    for point in points:
        if point["recall"] == recall:
            return Reading(float(point[key]))
    for low, high in zip(points, points[1:]):
        if low["recall"] < recall < high["recall"]:
            share = (recall - low["recall"]) / (high["recall"] - low["recall"])
            if low[key] <= 0 or high[key] <= 0:
                return Reading(None, f"{key} is not positive beside recall {recall}")
            return Reading(math.exp((1 - share) * math.log(low[key]) + share * math.log(high[key])))
    if points[0]["recall"] > recall:
        first = {"value": float(points[0][key]), "recall": points[0]["recall"]}
        return Reading(None, EXCEEDED, first)
    return Reading(None, NOT_REACHED)


def merge_runs(runs: list[list[dict]], by: str) -> list[dict]:
    """Medians over the runs at every width that all of them measured; `by` names the width."""
    known = [{point[by]: point for point in points} for points in runs]
    return [
        {key: statistics.median(points[width][key] for points in known) for key in point}
        for width, point in known[0].items()
        if all(width in points for points in known)
    ]


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def shares(counts: dict[str, float]) -> list[tuple[str, float]]:
    """Each group's part of the whole, largest first."""
    total = sum(counts.values())
    if total <= 0:
        return []
    return sorted(((name, count / total) for name, count in counts.items()),
                  key=lambda item: (-item[1], item[0]))
