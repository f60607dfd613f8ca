"""What must hold on every hard set, beside a peer that was measured in the same run. Pure functions.

A point is {"ef", "recall", "us"}: a width, recall@10 there, and microseconds of processor time a query.
"""

EFS = (64, 128, 256)
# A recall that is lower by no more than this counts as equal.
TOLERANCE = 0.01
NOISE = 0.005
DEFAULT_EF = 64
PEER_DEFAULT_EF = 128
DEFAULT_RECALL = 0.95


def at(points: list[dict], ef: int) -> dict:
    return next(point for point in points if point["ef"] == ef)


def within(points: list[dict], us: float) -> float:
    """The best recall in that time a query: between two points it grows evenly with the time."""
    best = 0.0
    for low, high in zip(points, points[1:]):
        if low["us"] < us < high["us"]:
            share = (us - low["us"]) / (high["us"] - low["us"])
            best = max(best, low["recall"] + share * (high["recall"] - low["recall"]))
    return max([best, *(point["recall"] for point in points if point["us"] <= us)])


def equal_time(ours: list[dict], peer: list[dict]) -> list[tuple[int, float]]:
    """(ef of the peer, recall of ours in the time it takes, less its recall)."""
    return [(ef, within(ours, at(peer, ef)["us"]) - at(peer, ef)["recall"]) for ef in EFS]


def equal_width(ours: list[dict], peer: list[dict]) -> list[tuple[int, float]]:
    """(ef, recall of ours at it, less the peer's)."""
    return [(ef, at(ours, ef)["recall"] - at(peer, ef)["recall"]) for ef in EFS]


def broken_promises(ours: dict) -> list[str]:
    """Recalls that were asked for and not reached, for queries like the rows."""
    return [f"k {k}, recall {asked}: {found:.3f}"
            for k, promised in ours["promises"].items() for asked, found in promised.items()
            if found < float(asked) - TOLERANCE]


def complaints(ours: dict, peer: dict) -> list[str]:
    """What does not hold of one way of building, but for promises.

    `ours` and `peer` have `points`; ours also `default`, its recall without a width, `own`, the part of
    stored rows that find themselves at ef 1,024 or None where that is not asked, `widest`, the recall
    at ef 10,000, and `same`, whether the same calls gave the same answers.
    """
    found = []
    for name, margins in (("equal time", equal_time), ("equal width", equal_width)):
        for ef, margin in margins(ours["points"], peer["points"]):
            if margin < -TOLERANCE:
                found.append(f"{name}, ef {ef}: {margin:+.3f}")
    reached = at(peer["points"], PEER_DEFAULT_EF)["recall"]
    if reached >= DEFAULT_RECALL > ours["default"]:
        found.append(f"default {ours['default']:.3f}")
    best = 0.0
    for point in ours["points"]:
        if point["recall"] < best - NOISE:
            found.append(f"ef {point['ef']} finds less: {point['recall'] - best:+.3f}")
        best = max(best, point["recall"])
    if ours["widest"] < 0.999:
        found.append(f"ef 10,000: {ours['widest']:.3f}")
    if ours["own"] is not None and ours["own"] < 1:
        found.append(f"rows that find themselves: {ours['own']:.3f}")
    if not ours["same"]:
        found.append("other answers on another run")
    return found
