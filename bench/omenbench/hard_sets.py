"""Sets of vectors on which graphs are known to do badly, each made from a seed.

A set is a recipe, not a file: `Hard.make` gives the same rows and queries on every machine with the
same NumPy. Rows are in the order in which they are inserted. The recipes take the number of rows, so
that a test can make small ones.
"""

import ast
import sysconfig
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

QUERY_COUNT = 500
SEED = 20_261
SETS: dict[str, "Hard"] = {}


@dataclass(frozen=True)
class Hard:
    """One set: how it is made, how many rows it has, and which metrics make sense for it."""

    name: str
    about: str
    metrics: tuple[str, ...]
    rows: int
    recipe: Callable
    # The part of the rows that is deleted once all are linked.
    deleted: float = 0.0
    # How often each id is stored, with another vector every time but the last.
    writes: int = 1
    # Whether the queries are drawn like the rows: what a promised recall holds for.
    like_rows: bool = True

    def make(self, rows: int | None = None, seed: int = SEED):
        """The base vectors [rows][dim] and the queries [QUERY_COUNT][dim], float32."""
        count = min(self.rows, rows or self.rows)
        random = np.random.default_rng([seed, *self.name.encode()])
        base, queries = self.recipe(random, count)
        return (np.ascontiguousarray(base, dtype=np.float32),
                np.ascontiguousarray(queries[:QUERY_COUNT], dtype=np.float32))


def add(name: str, rows: int, metrics: str, about: str, recipe: Callable, **changes) -> None:
    SETS[name] = Hard(name, about, tuple(metrics.split()), rows, recipe, **changes)


def normal(random, *shape):
    return random.standard_normal(shape, dtype=np.float32)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def divided(recipe: Callable) -> Callable:
    """A recipe of rows alone: the last of them become the queries."""
    def both(random, count):
        rows = recipe(random, count + QUERY_COUNT)
        return rows[:count], rows[count:]
    return both


def gaussian(dim: int) -> Callable:
    return divided(lambda random, count: normal(random, count, dim))


def clusters(groups: int, width: float, dim: int = 64) -> Callable:
    """Gaussian groups; `width` is their deviation in units of the deviation of their centres."""
    def rows(random, count):
        centres = normal(random, groups, dim)
        chosen = random.integers(0, groups, count)
        return centres[chosen] + np.float32(width) * normal(random, count, dim)
    return divided(rows)


def duplicates(cosine: float, dim: int = 128, size: int = 40) -> Callable:
    """Directions in groups of about `size` rows, in which pairs have that cosine."""
    width = np.float32((1 / cosine - 1) ** 0.5)
    def rows(random, count):
        centres = unit(normal(random, max(1, count // size), dim))
        chosen = random.integers(0, len(centres), count)
        return unit(centres[chosen] + width * unit(normal(random, count, dim)))
    return divided(rows)


def repeated(distinct: int, dim: int = 32) -> Callable:
    """Few different vectors, each stored many times; queries are near one of them."""
    def both(random, count):
        vectors = normal(random, distinct, dim)
        chosen = random.integers(0, distinct, count)
        near = vectors[random.integers(0, distinct, QUERY_COUNT)]
        return vectors[chosen], near + np.float32(0.01) * normal(random, QUERY_COUNT, dim)
    return both


def one_hot(dim: int) -> Callable:
    return divided(lambda random, count: np.eye(dim, dtype=np.float32)[
        random.integers(0, dim, count)])


def binary(share: float, dim: int = 128) -> Callable:
    def rows(random, count):
        bits = (random.random((count, dim), dtype=np.float32) < share).astype(np.float32)
        bits[bits.sum(axis=1) == 0, 0] = 1
        return bits
    return divided(rows)


def counts(random, count, dim: int = 64):
    """Zipf-valued counts: most are 0 or 1, a few are very large."""
    rates = 20 / np.arange(1, dim + 1) ** 0.8
    busy = random.gamma(0.6, 1.5, (count, 1))
    rows = random.poisson(busy * random.gamma(0.5, 2, (count, dim)) * rates).astype(np.float32)
    rows[rows.sum(axis=1) == 0, 0] = 1
    return rows


def outlier_dimension(random, count):
    rows = normal(random, count, 64)
    rows[:, 7] *= 30
    return rows


def outlier_row(random, count):
    rows = normal(random, count, 64)
    rows[count // 2] *= 1000
    return rows


def common_mean(random, count):
    return normal(random, count, 64) + np.float32(50)


def lengths(spread: float, dim: int = 64) -> Callable:
    """Random directions with lognormal lengths; queries are directions alone."""
    def both(random, count):
        directions = unit(normal(random, count, dim))
        scale = np.exp(np.float32(spread) * normal(random, count, 1))
        return directions * scale, normal(random, QUERY_COUNT, dim)
    return both


def recommender(random, count, dim: int = 64):
    """Item and user factors of a truncated SVD of visits: few items are visited by most users."""
    from scipy import sparse
    from scipy.sparse import linalg
    users = 6000
    tastes = normal(random, users, 24)
    styles = normal(random, count, 24)
    popularity = (1 / np.arange(1, count + 1) ** 0.9).astype(np.float32)
    random.shuffle(popularity)
    rows, columns = [], []
    for user in range(users):
        liked = popularity * np.exp(np.clip(styles @ tastes[user] / 4, -6, 6))
        chosen = random.choice(count, 60, p=liked / liked.sum())
        rows += [user] * len(chosen)
        columns += chosen.tolist()
    visits = sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), (users, count))
    visits.data = 1 + np.log(visits.data)
    start = random.standard_normal(min(users, count))
    left, values, right = linalg.svds(visits, k=dim, v0=start)
    noise = np.float32(1e-4) * normal(random, count, dim)
    chosen = random.choice(users, QUERY_COUNT, replace=False)
    return (right.T * np.sqrt(values)) + noise, (left * np.sqrt(values))[chosen]


def words(random, count, dim: int = 100):
    """Vectors of the words in Python's own library, from which other words stand near them."""
    from scipy import sparse
    from scipy.sparse import linalg
    folder = Path(sysconfig.get_paths()["stdlib"])
    texts = []
    for path in sorted(folder.rglob("*.py")):
        if "site-packages" in path.parts or "dist-packages" in path.parts:
            continue
        texts.append(names_of(path))
    total = Counter(name for text in texts for name in text)
    known = {name: i for i, (name, _) in enumerate(total.most_common(count + QUERY_COUNT))}
    near: Counter = Counter()
    for text in texts:
        numbers = [known[name] for name in text if name in known]
        for gap in range(1, 6):
            near.update(zip(numbers, numbers[gap:]))
    pairs = np.array(list(near), dtype=np.int64)
    weights = np.array(list(near.values()), dtype=np.float64)
    shape = (len(known), len(known))
    table = sparse.coo_matrix((weights, pairs.T), shape).tocsr()
    table = (table + table.T).tocoo()
    sums = np.asarray(table.sum(axis=1)).ravel() + 1e-9
    chances = np.log(table.data * table.data.sum() / (sums[table.row] * sums[table.col]))
    positive = sparse.csr_matrix((np.maximum(chances, 0), (table.row, table.col)), shape)
    left, values, _ = linalg.svds(positive, k=dim, v0=random.standard_normal(len(known)))
    vectors = left * np.sqrt(values) + 1e-4 * random.standard_normal(left.shape)
    order = random.permutation(len(vectors))
    return vectors[order[QUERY_COUNT:]], vectors[order[:QUERY_COUNT]]


def names_of(path: Path) -> list[str]:
    """The identifiers of a Python file, in the order of its syntax tree."""
    try:
        tree = ast.parse(path.read_text(errors="replace"))
    except (SyntaxError, ValueError):
        return []
    found = []
    for node in ast.walk(tree):
        for field in ("id", "attr", "name", "arg"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                found.append(value.lower())
    return found


def gap(random, count, dim: int = 128):
    """Rows and queries in two narrow cones, as texts and pictures are embedded together."""
    axis = unit(normal(random, 2, dim)) * 3
    rows = axis[0] + normal(random, count, dim) * 0.3
    return unit(rows), unit(axis[1] + normal(random, QUERY_COUNT, dim) * 0.3)


def spectrum(random, count, dim: int = 64):
    """Queries vary most where rows vary least."""
    scale = (1 / np.arange(1, dim + 1) ** 0.7).astype(np.float32)
    return normal(random, count, dim) * scale, normal(random, QUERY_COUNT, dim) * scale[::-1]


def opposite(random, count, dim: int = 32):
    """All rows have positive elements only, all queries negative ones."""
    return abs(normal(random, count, dim)), -abs(normal(random, QUERY_COUNT, dim))


def in_order(order: Callable, recipe: Callable) -> Callable:
    def both(random, count):
        base, queries = recipe(random, count)
        return base[order(base)], queries
    return both


def by_cluster(random, count, groups: int = 100, dim: int = 64):
    """One group is stored after the other."""
    centres = 3 * normal(random, groups, dim)
    chosen = np.sort(random.integers(0, groups, count))
    base = centres[chosen] + normal(random, count, dim)
    near = centres[random.integers(0, groups, QUERY_COUNT)]
    return base, near + normal(random, QUERY_COUNT, dim)


def walk(random, count, dim: int = 64):
    """Each row is a small step from the one before, as a sensor reports."""
    base = np.cumsum(normal(random, count, dim), axis=0) * np.float32(0.05)
    chosen = random.integers(0, count, QUERY_COUNT)
    return base, base[chosen] + np.float32(0.05) * normal(random, QUERY_COUNT, dim)


def far_later(random, count, dim: int = 64, far_count: int = 200):
    """A tight group first, and then few far rows; half of the queries are near far ones."""
    group = 10 * unit(normal(random, 1, dim)) + np.float32(0.05) * normal(random, count, dim)
    far = 20 * unit(normal(random, far_count, dim))
    group[-far_count:] = far
    half = QUERY_COUNT // 2
    near = np.concatenate([far[random.integers(0, far_count, half)], group[:half]])
    return group, near + np.float32(0.01) * normal(random, len(near), dim)


def scaled(factor: float, dim: int = 32) -> Callable:
    return divided(lambda random, count: normal(random, count, dim) * np.float32(factor))


def real(kind: str) -> Callable:
    def both(random, count):
        from omenbench import datasets
        found = datasets.find(kind, None, None)
        return found.base[:count], found.queries
    return both


for dim, rows in (16, 100_000), (128, 100_000), (768, 20_000), (1536, 20_000):
    add(f"gauss-{dim}", rows, "l2 cosine" if dim < 768 else "cosine",
        f"independent Gaussian elements, {dim} dimensions", gaussian(dim))
add("uniform", 100_000, "l2", "uniform in a cube, 32 dimensions",
    divided(lambda random, count: random.random((count, 32), dtype=np.float32)))
for groups in 10, 1000:
    for word, width in ("tight", 0.05), ("wide", 0.5):
        add(f"clusters-{groups}-{word}", 100_000, "l2",
            f"{groups} groups, their width {width} of the spread of centres",
            clusters(groups, width))
for cosine, rows in (0.99, 100_000), (0.999, 100_000), (0.9999, 20_000):
    add(f"duplicates-{cosine}", rows, "cosine l2",
        f"groups of 40 near-duplicates, cosine {cosine} within", duplicates(cosine))
for distinct, copies in (100, 300), (1000, 100):
    add(f"equal-{distinct}", distinct * copies, "l2 ip",
        f"{distinct} vectors, each stored about {copies} times", repeated(distinct))
for dim in 64, 256:
    add(f"one-hot-{dim}", 20_000, "l2", f"unit vectors along {dim} axes", one_hot(dim))
for share in 0.05, 0.5:
    add(f"binary-{share}", 20_000, "l2 ip", f"128 bits, {share:.0%} set", binary(share))
add("counts", 100_000, "l2", "Zipf-valued counts, 64 kinds", divided(counts))
add("outlier-dimension", 20_000, "l2", "one dimension 30 times as wide", divided(outlier_dimension))
add("outlier-row", 20_000, "l2 ip", "one row 1,000 times as long", divided(outlier_row))
add("common-mean", 100_000, "l2", "a mean 50 deviations from the origin", divided(common_mean))
for spread, rows in (0, 20_000), (0.1, 20_000), (0.2, 100_000), (0.5, 100_000), (1, 20_000):
    add(f"lengths-{spread}", rows, "ip", f"lognormal lengths, log-spread {spread}", lengths(spread))
add("recommender", 20_000, "ip", "item factors of an SVD of visits, user factors ask", recommender,
    like_rows=False)
add("words", 20_000, "ip cosine", "vectors of words by the words near them", words)
add("gap", 20_000, "cosine ip", "queries in another cone than rows", gap,
    like_rows=False)
add("spectrum", 20_000, "cosine l2", "queries vary where rows do not", spectrum,
    like_rows=False)
add("opposite", 20_000, "l2", "queries in the opposite orthant", opposite,
    like_rows=False)
add("sorted", 100_000, "l2", "stored in the order of the first element",
    in_order(lambda base: np.argsort(base[:, 0]), gaussian(32)))
add("by-cluster", 100_000, "l2", "100 groups, stored one after the other", by_cluster)
add("walk", 100_000, "l2", "a random walk", walk)
add("far-later", 20_000, "l2 cosine", "a tight group, later 200 far rows", far_later,
    like_rows=False)
# Smaller elements than 1e-15 are refused.
for factor in 1e-13, 1e-6, 1e6, 1e13:
    add(f"scale-{factor:g}", 20_000, "l2 cosine ip", f"Gaussian, times {factor:g}", scaled(factor))
for dim in 1, 2, 3:
    add(f"dims-{dim}", 20_000, "l2", f"Gaussian, {dim} dimensions", gaussian(dim))
for dim in 4096, 8192:
    add(f"dims-{dim}", 20_000 if dim == 4096 else 5_000, "cosine",
        f"300 groups in {dim} dimensions", clusters(300, 0.5, dim))
add("half-deleted", 100_000, "l2", "every second row is deleted", clusters(1000, 0.5), deleted=0.5)
add("mostly-deleted", 100_000, "l2", "nine of ten rows are deleted", clusters(1000, 0.5),
    deleted=0.9)
add("rewritten", 20_000, "l2", "each id is stored five times", clusters(1000, 0.5), writes=5)
add("sift", 100_000, "l2 ip", "SIFT descriptors of photographs", real("sift"))
add("text", 60_000, "cosine", "sentence embeddings of package descriptions", real("text"))
