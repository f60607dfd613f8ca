"""Recall against brute force, also while the rows are still being added. Pure functions."""


def recall_of(found, truth, k: int) -> float:
    """The part of the `k` true neighbours that was found; rows are queries.

    A true neighbour counts once, however often it was found.
    """
    hits = sum(len(set(row[:k]) & set(true[:k])) for row, true in zip(found, truth, strict=True))
    return hits / (len(truth) * k)


def recall_of_prefix(found, truth, k: int, row_count: int) -> float | None:
    """Recall of searches over the first `row_count` rows, from neighbours among all rows.

    The true neighbours of a query that lie in the prefix are the nearest ones of the prefix, in
    the same order; where fewer than `k` of the listed ones do, those are looked for. Ids beyond
    the prefix are left out: their rows came while the search ran. None when there is nothing to
    look for.
    """
    wanted = hits = 0
    for row, true in zip(found, truth, strict=True):
        inside = [neighbor for neighbor in true if neighbor < row_count][:k]
        kept = [hit for hit in row if hit < row_count][:len(inside)]
        wanted += len(inside)
        hits += len(set(inside) & set(kept))
    return hits / wanted if wanted else None
