"""Files that are missing, cut, or from another time or place: nothing false is served.

One sweep over a stopped data directory with one shard, one over three. Each case takes a sound copy,
spoils one file or folder, and asks `verify` and `start`: either every record that was there is
served, or the answer says which shard is missing, or the cluster does not start. The table in
docs/OPERATIONS.md lists the cases.
"""

import contextlib
import os
import shutil
import unittest

from harness import FAILURE, OK, PARTIAL, SAMPLE, UNAVAILABLE, ClusterTestCase, call

# Names of files whose loss or age loses nothing.
WITHOUT_DATA = ("lock", ".lock", "coordinator.log", "omen.sock")


def spoilt_by(kind, target, older, donors):
    """Spoils `target`; returns False where that changes nothing or cannot be done.

    `older` is the counterpart of an earlier time, `donors` are files or folders of the same name in
    other shards and other clusters."""
    if kind == "removed":
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    elif kind == "emptied":
        if target.is_dir():
            for entry in target.iterdir():
                entry.unlink() if entry.is_file() else shutil.rmtree(entry)
        else:
            os.truncate(target, 0)
    elif kind == "cut":
        if target.is_dir():
            return False
        size = target.stat().st_size
        os.truncate(target, size // 2)
    else:
        source = older if kind == "older" else donors[kind]
        if source is None or not source.exists() or same(source, target):
            return False
        if target.is_dir():
            shutil.rmtree(target)
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
    return True


def same(left, right):
    if left.is_dir() or right.is_dir():
        return False
    return left.read_bytes() == right.read_bytes()


class LostFiles(ClusterTestCase):
    def write(self, cluster, first, count=200):
        cluster.run("import", self.vectors(), "--id-start", first)
        return count

    def vectors(self):
        return SAMPLE / "sift10k_query.npy"

    def made(self, shards):
        """A stopped cluster with three checkpoints, and copies of its two earlier states."""
        cluster = self.start(shards=shards)
        earlier = []
        for round_ in range(3):
            cluster.run("import", self.vectors(), "--id-start", 1000 * round_)
            cluster.run("delete", *range(1000 * round_, 1000 * round_ + 10))
            cluster.stop()
            if round_ < 2:
                copy = self.folder() / "data"
                shutil.copytree(cluster.data, copy)
                earlier.append(copy)
                cluster.start()
        return cluster, earlier

    def targets(self, data):
        yield data / "cluster.manifest"
        yield data / "shards"
        for shard in sorted((data / "shards").iterdir()):
            yield shard
            yield from sorted(path for path in shard.iterdir() if path.name not in WITHOUT_DATA)

    def counterpart(self, earlier, data, target):
        """The file of an earlier time under the same name, or the earlier one of its kind."""
        relative = target.relative_to(data)
        for copy in earlier:
            place = copy / relative
            if place.exists():
                return place
            if place.suffix in (".omd", ".wal") and place.parent.exists():
                kind = sorted(place.parent.glob(f"*{place.suffix}"))
                if kind:
                    return kind[-1]
        return None

    def donor(self, data, target, from_shard):
        """What stands in the place of `target` in another shard or data directory."""
        relative = target.relative_to(data)
        parts = list(relative.parts)
        if len(parts) >= 2 and from_shard is not None:
            parts[1] = from_shard
        place = data.joinpath(*parts)
        if place.exists() or len(parts) < 3:
            return place if place.exists() else None
        kind = sorted(place.parent.glob(f"*{place.suffix}"))
        return kind[-1] if kind else None

    def sweep(self, shards):
        cluster, earlier = self.made(shards)
        whole = cluster.data
        other, _ = self.made(shards)
        cluster.start()
        expected = int(cluster.run("count"))
        cluster.stop()
        sound = self.folder() / "data"
        shutil.copytree(whole, sound)
        seen = {"complete": 0, "named": 0, "refused": 0}
        for target in list(self.targets(whole)):
            relative = target.relative_to(whole)
            for kind in ("removed", "emptied", "cut", "older", "shard's", "cluster's"):
                shutil.rmtree(whole)
                shutil.copytree(sound, whole)
                donors = {
                    "shard's": self.donor(sound, sound / relative, "001")
                    if shards > 1 and len(relative.parts) > 1 else None,
                    "cluster's": self.donor(other.data, other.data / relative, None),
                }
                older = self.counterpart(earlier, whole, target)
                if not spoilt_by(kind, target, older, donors):
                    continue
                with self.subTest(shards=shards, file=str(relative), kind=kind):
                    seen[self.judge(cluster, relative, expected)] += 1
        self.assertGreater(seen["named"] + seen["refused"], 20, seen)
        self.assertGreater(seen["complete"], 0, seen)

    def judge(self, cluster, relative, expected):
        """Starts the spoilt directory; returns what came of it."""
        verified = cluster.call("verify")
        self.assertIn(verified.returncode, (OK, FAILURE), verified.stderr)
        started = cluster.call("start")
        try:
            if started.returncode not in (OK, PARTIAL):
                self.assertEqual(started.returncode, FAILURE, started.stderr)
                self.assertIn(str(relative.parts[0]), started.stderr)
                self.assertEqual(verified.returncode, FAILURE, "verify finds nothing")
                return "refused"
            counted = cluster.call("count")
            if started.returncode == PARTIAL:
                self.assertIn(counted.returncode, (PARTIAL, UNAVAILABLE), counted.stdout)
                self.assertIn("quarantined", started.stdout)
                self.assertEqual(verified.returncode, FAILURE, "verify finds nothing")
                return "named"
            self.assertEqual(counted.returncode, OK, counted.stderr)
            self.assertEqual(int(counted.stdout), expected, "records are missing or back")
            return "complete"
        finally:
            cluster.call("stop")
            cluster.kill_all()

    def test_no_file_of_one_shard_is_missed_without_notice(self):
        self.sweep(1)

    def test_no_file_of_three_shards_is_missed_without_notice(self):
        self.sweep(3)


class AcceptedLoss(ClusterTestCase):
    def filled(self, shards=2):
        cluster = self.start(shards=shards)
        cluster.run("import", SAMPLE / "sift10k_query.npy")
        return cluster

    def test_a_lost_shard_goes_on_only_when_an_operator_accepts_it(self):
        cluster = self.filled()
        before = int(cluster.run("count"))
        cluster.stop()
        shutil.rmtree(cluster.data / "shards/001")
        cluster.start(expect=PARTIAL)
        left = int(cluster.run("count", expect=PARTIAL))
        self.assertLess(left, before)
        # Nobody types here, so nothing is changed without --yes.
        refused = cluster.call("accept-loss", 1)
        self.assertEqual(refused.returncode, FAILURE)
        self.assertIn("--yes", refused.stderr)
        self.assertIn("MANIFEST is missing", refused.stderr)
        self.assertEqual(int(cluster.run("count", expect=PARTIAL)), left)
        answer = cluster.json("accept-loss", 1, "--yes")
        self.assertEqual((answer["shard"], answer["records"]), (1, 0))
        self.assertEqual(int(cluster.run("count")), left)
        cluster.run("import", SAMPLE / "sift10k_query.npy")
        cluster.stop()
        cluster.run("verify")
        cluster.start()
        self.assertEqual(int(cluster.run("count")), before)

    def test_what_can_be_read_is_kept_and_the_old_files_too(self):
        cluster = self.filled()
        cluster.run("checkpoint")
        # The later batches prove that the first one, which is damaged, was durable.
        for start in (1000, 2000, 3000):
            cluster.run("import", SAMPLE / "sift10k_query.npy", "--id-start", start)
        before = int(cluster.run("count"))
        cluster.kill_all()
        log = max((cluster.data / "shards/001").glob("log-*.wal"), key=lambda path: path.name)
        data = bytearray(log.read_bytes())
        data[300] ^= 1
        log.write_bytes(data)
        cluster.start(expect=PARTIAL)
        cluster.stop()
        report = cluster.json("accept-loss", 1, "--yes")
        self.assertGreater(report["records"], 0)
        self.assertTrue(any(log.name in problem for problem in report["problems"]), report)
        aside = cluster.data / "shards/001.lost-1"
        self.assertTrue((aside / log.name).exists())
        cluster.run("verify")
        cluster.start()
        after = int(cluster.run("count"))
        self.assertLess(after, before)
        self.assertGreaterEqual(after, 200)
        # Files of the history that was given up are not taken for the shard's own.
        cluster.stop()
        shutil.rmtree(cluster.data / "shards/001")
        aside.rename(cluster.data / "shards/001")
        cluster.start(expect=PARTIAL)
        self.assertIn("history", cluster.shard(1)["last_error"])

    def test_an_acceptance_that_was_cut_short_is_finished_by_the_next(self):
        cluster = self.filled()
        before = int(cluster.run("count"))
        cluster.stop()
        (cluster.data / "shards/001/MANIFEST").unlink()
        known = (cluster.data / "cluster.manifest").read_bytes()
        kept = cluster.json("accept-loss", 1, "--yes")["records"]
        self.assertGreater(kept, 0)
        # As a kill between the two renames leaves it.
        (cluster.data / "shards/001").rename(cluster.data / "shards/001.salvaged")
        (cluster.data / "cluster.manifest").write_bytes(known)
        cluster.start(expect=PARTIAL)
        self.assertIn("accept-loss 1", cluster.run("status"))
        cluster.stop()
        self.assertEqual(cluster.json("accept-loss", 1, "--yes")["records"], kept)
        cluster.start()
        self.assertEqual(int(cluster.run("count")), before)
        self.assertFalse((cluster.data / "shards/001.salvaged").exists())

    def test_one_segment_that_cannot_be_read_does_not_cost_the_others(self):
        cluster = self.start(shards=1)
        for round_ in range(3):
            cluster.run("import", SAMPLE / "sift10k_query.npy", "--id-start", 1000 * round_)
            if round_ < 2:
                cluster.run("checkpoint")
        before = int(cluster.run("count"))
        cluster.kill_all()
        segments = sorted((cluster.data / "shards/000").glob("log-*.wal"))
        self.assertGreater(len(segments), 1)
        segments[0].unlink()
        segments[0].mkdir()
        cluster.run("accept-loss", 0, "--yes")
        cluster.start()
        self.assertEqual(int(cluster.run("count")), before)

    def test_a_sound_shard_has_no_loss_to_accept(self):
        cluster = self.filled()
        for _ in range(2):
            refused = cluster.call("accept-loss", 0, "--yes")
            self.assertEqual(refused.returncode, FAILURE)
            self.assertIn("shard 0", refused.stderr)
            with contextlib.suppress(AssertionError):
                cluster.stop()
        self.assertFalse(list((cluster.data / "shards").glob("*.lost*")))
        self.assertEqual(call("accept-loss", 7, "--data", cluster.data).returncode, FAILURE)


class StrangeFiles(ClusterTestCase):
    """Something else than a file under a name of ours is refused by name, and nothing waits."""

    NAMES = ("cluster.manifest", "shards/001/MANIFEST", "shards/001/lock", "LOG", "FILE",
             "shards/001", "coordinator.log", "cluster.lock")

    def put(self, kind, path):
        kept = path.with_name(path.name + ".kept")
        if path.exists():
            path.rename(kept)
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "link":
            path.symlink_to(kept.name)
        else:
            path.mkdir()

    def test_fifos_links_and_directories_are_refused_by_name(self):
        cluster = self.start(shards=2)
        cluster.run("import", SAMPLE / "sift10k_query.npy")
        cluster.stop()
        sound = self.folder() / "data"
        shutil.copytree(cluster.data, sound)
        for name in self.NAMES:
            for kind in ("fifo", "link", "directory"):
                shutil.rmtree(cluster.data)
                shutil.copytree(sound, cluster.data)
                folder = cluster.data / "shards/001"
                path = {"LOG": max(folder.glob("log-*.wal")),
                        "FILE": max(folder.glob("ckpt-*.omd"))}.get(name, cluster.data / name)
                if (name, kind) == ("shards/001", "directory"):
                    continue
                self.put(kind, path)
                with self.subTest(name=name, kind=kind):
                    if name != "coordinator.log":
                        verified = cluster.call("verify", timeout=60)
                        self.assertEqual(verified.returncode, FAILURE, verified.stdout)
                        self.assertIn(path.name, verified.stdout + verified.stderr)
                    started = cluster.call("start", timeout=60)
                    self.assertIn(started.returncode, (FAILURE, PARTIAL), started.stdout)
                    self.assertIn(path.name, started.stdout + started.stderr)
                    cluster.call("stop")
                    cluster.kill_all()


if __name__ == "__main__":
    unittest.main()
