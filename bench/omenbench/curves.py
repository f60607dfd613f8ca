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
    """A value at a wanted recall, or why there is none."""

    value: float | None
    reason: str = ""

    def json(self) -> dict:
        return {"value": self.value, "reason": self.reason}


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
    return Reading(None, EXCEEDED if points[0]["recall"] > recall else NOT_REACHED)


def merge_runs(runs: list[list[dict]], by: str) -> list[dict]:
    """Medians, point by point, of runs that measured the same widths; `by` names the width."""
    merged = []
    for points in zip(*runs, strict=True):
        if len({point[by] for point in points}) != 1:
            raise ValueError(f"runs measured different values of {by}: {points}")
        merged.append({
            key: value if key == by else statistics.median(point[key] for point in points)
            for key, value in points[0].items()
        })
    return merged


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
