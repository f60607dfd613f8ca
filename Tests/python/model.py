"""What clients know they were promised, kept outside the processes that get killed.

Per id: the committed version (acknowledged) and the versions that may or may not have been
applied. Version 0 means absent. Each writer owns its ids, so versions of one id are ordered.
"""

DIM = 16


def vector(record, version):
    """The only bytes that version of that id may have: torn or swapped rows show."""
    state = (record * 1_000_003 + version * 7919 + 12345) & 0xFFFFFFFF
    out = bytearray()
    for _ in range(DIM):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        out.append(state >> 24)
    return bytes(out)


def metadata(record, version):
    return b'{"id":%d,"version":%d}' % (record, version)


def version_of(data):
    if not data:
        return 0
    return int(data.split(b'"version":')[1].rstrip(b"}"))


class Model:
    def __init__(self):
        self.committed = {}
        self.pending = {}

    def begin(self, record, version):
        self.pending.setdefault(record, []).append(version)

    def commit(self, record, version):
        self.committed[record] = version
        # What was begun before cannot come back: its own retry is answered from memory.
        self.pending.pop(record, None)

    def reject(self, record, version):
        versions = self.pending.get(record, [])
        if version in versions:
            versions.remove(version)

    def allowed(self, record):
        return {self.committed.get(record, 0), *self.pending.get(record, [])}

    @property
    def ids(self):
        return set(self.committed) | set(self.pending)


class Verdict:
    def __init__(self):
        self.lost, self.phantoms, self.duplicates, self.wrong = [], [], [], []

    @property
    def ok(self):
        return not (self.lost or self.phantoms or self.duplicates or self.wrong)

    def __str__(self):
        return (
            f"{len(self.lost)} lost, {len(self.phantoms)} phantoms, "
            f"{len(self.duplicates)} duplicates, {len(self.wrong)} wrong"
        )

    def details(self):
        return "\n".join(
            f"{name}: {items[:5]}"
            for name, items in vars(self).items()
            if items
        )


def check(client, collection, models, deleted_versions):
    """Compares everything stored with what the writers were promised.

    `deleted_versions` holds (id, version) pairs that were deletes. Unsettled versions are settled
    by what is found: a later check must find the same or newer.
    """
    verdict = Verdict()
    present = {}
    known = set()
    for model in models:
        ids = sorted(model.ids)
        known |= set(ids)
        for start in range(0, len(ids), 5000):
            found, failures = client.get(collection, ids[start : start + 5000])
            assert not failures, failures
            present.update(found)
        for record in ids:
            judge(record, present.get(record), model, deleted_versions, verdict)
    seen = set()
    hits, failures = client.search(
        collection, vector(0, 0), DIM, k=10_000, element=1, exact=True, allow_partial=False
    )
    assert not failures, failures
    for record, _ in hits[0]:
        if record in seen:
            verdict.duplicates.append(record)
        seen.add(record)
        if record not in known:
            verdict.phantoms.append(record)
    count, _ = client.count(collection)
    if count != len(present):
        verdict.wrong.append(f"count is {count}, {len(present)} records are there")
    if len(seen) != min(count, 10_000):
        verdict.wrong.append(f"exact search finds {len(seen)} of {count}")
    find_each(client, collection, sorted(present)[::7], present, verdict)
    return verdict


def find_each(client, collection, ids, present, verdict):
    """Every stored vector is found through the graph, too: a search for it returns it."""
    for start in range(0, len(ids), 200):
        part = ids[start : start + 200]
        vectors = b"".join(present[record][1] for record in part)
        hits, failures = client.search(
            collection, vectors, DIM, count=len(part), k=1, ef=10_000, element=1
        )
        assert not failures, failures
        for record, found in zip(part, hits):
            if not found or found[0][1] != 0:
                verdict.wrong.append((record, "is not found by its own vector", found))


def judge(record, found, model, deleted_versions, verdict):
    allowed = model.allowed(record)
    absent_allowed = any(v == 0 or (record, v) in deleted_versions for v in allowed)
    if found is None:
        if not absent_allowed:
            verdict.lost.append((record, sorted(allowed)))
        return
    data, bytes_found = found
    version = version_of(data)
    if version not in allowed or (record, version) in deleted_versions:
        newest = model.committed.get(record, 0)
        kind = verdict.lost if version < newest else verdict.phantoms
        kind.append((record, version, sorted(allowed)))
    elif bytes_found != vector(record, version) or data != metadata(record, version):
        verdict.wrong.append((record, version))
