"""What bench/run does with measured figures: interpolation, recall, result files, tables, targets."""

import copy
import json
import math
import random
import sys
import tempfile
import unittest
from pathlib import Path

BENCH = Path(__file__).resolve().parents[2] / "bench"
sys.path.insert(0, str(BENCH))

from omenbench import (against, blocks, curves, dims, hard_rule, hard_sets, main, peers,  # noqa: E402
                       profile, results, table, targets)
from omenbench.failure import Failure  # noqa: E402
from omenbench.recall import recall_of, recall_of_prefix  # noqa: E402
from omenbench.writers import Frontier  # noqa: E402


def points(*pairs):
    return [{"width": width, "recall": recall, "qps": float(qps)}
            for width, (recall, qps) in enumerate(pairs, 1)]


class Curves(unittest.TestCase):
    def test_a_measured_point_is_taken_as_it_is(self):
        self.assertEqual(curves.at_recall(points((0.9, 100), (0.95, 50)), 0.95, "qps").value, 50)

    def test_between_two_points_the_logarithm_is_linear(self):
        reading = curves.at_recall(points((0.9, 100), (1.0, 25)), 0.95, "qps")
        self.assertAlmostEqual(reading.value, 50)

    def test_nothing_is_extrapolated(self):
        low = curves.at_recall(points((0.5, 100), (0.94, 50)), 0.95, "qps")
        self.assertEqual((low.value, low.reason), (None, curves.NOT_REACHED))
        high = curves.at_recall(points((0.96, 100), (0.99, 50)), 0.95, "qps")
        self.assertEqual((high.value, high.reason), (None, curves.EXCEEDED))
        self.assertEqual(high.least, {"value": 100, "recall": 0.96})
        self.assertEqual(curves.at_recall([], 0.95, "qps").reason, "not measured")

    def test_what_exceeds_a_recall_is_shown_with_its_own(self):
        for measured, value, shown in [(((0.9, 4), (0.95, 2)), 2, "2.0"),
                                       (((0.96, 1234), (0.99, 50)), 1234, "1,234.0 (at 0.960)"),
                                       (((0.5, 1), (0.9, 2)), None, curves.NOT_REACHED)]:
            reading = curves.at_recall(points(*measured), 0.95, "qps").json()
            self.assertEqual((curves.known(reading), curves.text(reading, 1)), (value, shown))
        self.assertIsNone(curves.known(None))

    def test_a_recall_that_falls_on_the_way_is_crossed_where_it_rises_first(self):
        bumpy = points((0.90, 100), (0.89, 90), (0.97, 40), (0.94, 30), (0.96, 20))
        value = curves.at_recall(bumpy, 0.93, "qps").value
        self.assertTrue(40 < value < 90, value)

    def test_runs_are_merged_point_by_point(self):
        runs = [points((0.9, 10), (0.95, 5)), points((0.9, 30), (0.95, 6)), points((0.9, 20), (0.95, 9))]
        self.assertEqual(curves.merge_runs(runs, by="width"), points((0.9, 20), (0.95, 6)))

    def test_only_widths_that_all_runs_measured_are_merged(self):
        runs = [points((0.9, 1), (0.95, 2), (0.99, 1)), points((0.9, 3), (0.95, 4))]
        self.assertEqual(curves.merge_runs(runs, by="width"), points((0.9, 2), (0.95, 3)))

    def test_percentiles_are_values_that_occurred(self):
        values = [float(value) for value in range(1, 101)]
        self.assertEqual([curves.percentile(values, share) for share in (0.5, 0.99, 1.0)], [50, 99, 100])
        self.assertEqual(curves.percentile([3.0], 0.01), 3.0)

    def test_shares_add_up_and_the_largest_comes_first(self):
        self.assertEqual(curves.shares({"a": 1, "b": 3}), [("b", 0.75), ("a", 0.25)])
        self.assertEqual(curves.shares({}), [])


class Recall(unittest.TestCase):
    def test_only_true_neighbours_count_and_once(self):
        self.assertEqual(recall_of([[1, 1, 9]], [[1, 2, 3, 4]], 3), 1 / 3)
        self.assertEqual(recall_of([[3, 2, 1], [5]], [[1, 2, 3], [5, 6, 7]], 3), 4 / 6)

    def test_a_prefix_is_judged_by_its_own_neighbours(self):
        # Of the neighbours 5, 1, 8, 2 only 1 and 2 are there when five rows are.
        self.assertEqual(recall_of_prefix([[1, 2]], [[5, 1, 8, 2]], 2, 5), 1.0)
        self.assertEqual(recall_of_prefix([[1, 4]], [[5, 1, 8, 2]], 2, 5), 0.5)

    def test_rows_that_came_during_the_search_are_left_out(self):
        self.assertEqual(recall_of_prefix([[7, 1, 6, 2]], [[7, 1, 6, 2]], 2, 5), 1.0)

    def test_nothing_to_look_for_is_no_recall(self):
        self.assertIsNone(recall_of_prefix([[1]], [[8, 9]], 2, 5))

    def test_rows_are_acknowledged_up_to_the_first_open_batch(self):
        frontier = Frontier(0, 25, 10)
        first, second, third = frontier.take(), frontier.take(), frontier.take()
        self.assertEqual((third, frontier.take()), (range(20, 25), None))
        frontier.done(second)
        self.assertEqual(frontier.acknowledged, 0)
        frontier.done(first)
        self.assertEqual(frontier.acknowledged, 20)
        frontier.done(third)
        self.assertEqual(frontier.acknowledged, 25)


class HardSets(unittest.TestCase):
    def points(self, *values):
        return [{"ef": ef, "recall": recall, "us": us} for ef, recall, us in values]

    def ours(self, **changes):
        points = self.points((16, 0.9, 5), (64, 0.97, 10), (128, 0.99, 20), (256, 1.0, 40))
        return {"points": points, "default": 0.99, "own": 1.0, "widest": 1.0, "same": True} | changes

    PEER = [(64, 0.96, 12), (128, 0.98, 25), (256, 0.99, 50)]

    def test_what_is_found_in_the_peers_time_counts(self):
        ours, peer = self.ours()["points"], self.points(*self.PEER)
        found = dict(hard_rule.equal_time(ours, peer))
        # In 12 us: a fifth of the way from 0.97 to 0.99.
        self.assertAlmostEqual(found[64], 0.974 - 0.96)
        self.assertAlmostEqual(found[256], 0.01)
        self.assertEqual(hard_rule.within(ours, 4), 0)
        self.assertAlmostEqual(dict(hard_rule.equal_width(ours, peer))[64], 0.01)

    def test_every_part_of_the_rule_is_told_when_it_does_not_hold(self):
        peer = {"points": self.points(*self.PEER)}
        self.assertEqual(hard_rule.complaints(self.ours(), peer), [])
        falling = self.points((16, 0.9, 5), (64, 0.97, 10), (128, 0.96, 20), (256, 1.0, 40))
        slow = self.points((16, 0.9, 50), (64, 0.97, 60), (128, 0.99, 70), (256, 1.0, 80))
        narrow = self.points((16, 0.9, 5), (64, 0.9, 6), (128, 0.99, 12), (256, 1.0, 40))
        for changes, words in [({"points": slow}, "equal time"), ({"points": narrow}, "equal width"),
                               ({"points": falling}, "finds less"), ({"default": 0.9}, "default"),
                               ({"widest": 0.99}, "10,000"), ({"own": 0.999}, "themselves"),
                               ({"same": False}, "other answers")]:
            with self.subTest(words):
                found = hard_rule.complaints(self.ours(**changes), peer)
                self.assertIn(words, " ".join(found))

    def test_a_promise_may_be_missed_by_a_hundredth(self):
        kept = {"promises": {"1": {"0.9": 0.89, "0.99": 0.98}, "100": {"0.95": 1.0}}}
        self.assertEqual(hard_rule.broken_promises(kept), [])
        broken = {"promises": {"1": {"0.9": 0.95}, "10": {"0.95": 0.9399}}}
        self.assertEqual(hard_rule.broken_promises(broken), ["k 10, recall 0.95: 0.940"])

    def test_a_set_is_the_same_each_time_and_has_its_rows(self):
        # Those made by packages or from files are left to bench/run hard.
        made = {"recommender", "words", "sift", "text"}
        for name, hard in hard_sets.SETS.items():
            if name in made or name.startswith("dims-8192"):
                continue
            with self.subTest(name):
                base, queries = hard.make(300)
                self.assertEqual((len(base), len(queries)), (300, hard_sets.QUERY_COUNT))
                self.assertTrue((base == hard.make(300)[0]).all())
                self.assertFalse((base == hard.make(300, seed=1)[0]).all()
                                 and not name.startswith("one-hot"))
        self.assertGreaterEqual(len(hard_sets.SETS), 24)


class ResultFiles(unittest.TestCase):
    def result(self):
        recorder = results.Recorder("open", "bench/run open", {"repeats": 5})
        recorder.note_command([results.ROOT / "x/omen-bench", "index"])
        recorder.note_command([results.ROOT / "x/omen-bench", "index"])
        recorder.rows = {"seconds": 1 / 3}
        return recorder.result(1.25)

    def test_a_result_is_written_and_read_back(self):
        with tempfile.TemporaryDirectory() as folder:
            results.save(self.result(), Path(folder))
            found = results.load("open", Path(folder))
        self.assertEqual(found["rows"], {"seconds": 0.333333})
        self.assertEqual(found["commands"], ["x/omen-bench index"])
        self.assertGreater(found["machine"]["memory_bytes"], 0)

    def test_what_is_missing_or_of_another_type_is_named(self):
        self.assertEqual(results.complaints(self.result()), [])
        for name in results.FIELDS:
            bad = copy.deepcopy(self.result())
            del bad[name]
            self.assertEqual(results.complaints(bad), [f"{name} is missing"])
        self.assertEqual(results.complaints(self.result() | {"rows": []}), ["rows is a list"])
        self.assertIn("format is 9, expected 1", results.complaints(self.result() | {"format": 9}))
        self.assertEqual(results.complaints(7), ["a result is a JSON object"])

    def test_a_file_of_another_form_is_refused_with_its_command(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "open.json").write_text(json.dumps({"rows": {}}))
            with self.assertRaisesRegex(Failure, "bench/run open"):
                results.load("open", Path(folder))
            self.assertIsNone(results.load("peers", Path(folder)))

    def test_the_results_in_the_repository_have_the_form(self):
        for path in sorted(results.RESULTS.glob("*.json")):
            with self.subTest(path.name):
                self.assertEqual(results.complaints(json.loads(path.read_text())), [])

    def test_commands_do_not_name_folders_of_one_machine(self):
        arguments = ["peers", "--data", "/x/y", "--count", "5", "--data=/z"]
        self.assertEqual(main.command_text(arguments), "bench/run peers --count 5")
        root = results.ROOT
        for path, shown in [(f"{root}/bench/sample/a.npy", "bench/sample/a.npy"),
                            (f"{root}/.build/x/release/omen-bench", "omen-bench"),
                            ("/far/away/b.npy", "b.npy"), ("DIR/omen.sock", "DIR/omen.sock")]:
            self.assertEqual(results.portable(f"x {path} --k 1/2"), f"x {shown} --k 1/2")


class Table(unittest.TestCase):
    BLOCKS = {"a": lambda: ["new", "lines"], "b": lambda: []}

    def test_only_blocks_change(self):
        text = "x\n<!-- bench:a -->\nold\n<!-- /bench -->\ny\n<!-- bench:b -->\n<!-- /bench -->\n"
        new = "x\n<!-- bench:a -->\nnew\nlines\n<!-- /bench -->\ny\n<!-- bench:b -->\n<!-- /bench -->\n"
        self.assertEqual(table.replaced(text, self.BLOCKS), new)
        self.assertEqual(table.replaced(new, self.BLOCKS), new)

    def test_broken_markers_are_refused(self):
        for text, words in [
            ("<!-- bench:a -->\nold\n", "no <!-- /bench -->"),
            ("<!-- bench:c -->\n<!-- /bench -->\n", "unknown block c"),
            ("<!-- /bench -->\n", "without a block"),
            ("<!-- bench:a -->\n<!-- bench:b -->\n<!-- /bench -->\n", "does not end"),
        ]:
            with self.subTest(text), self.assertRaisesRegex(Failure, words):
                table.replaced(text, self.BLOCKS)

    def test_the_documents_have_only_known_blocks(self):
        for name in table.DOCUMENTS:
            with self.subTest(name):
                text = (results.ROOT / name).read_text()
                self.assertIn("<!-- bench:", text)
                table.replaced(text, {key: lambda: [] for key in blocks.BLOCKS})

    def test_every_block_says_how_to_measure_what_is_not_there(self):
        nothing = dict.fromkeys(table.RESULTS)
        for name, block in blocks.BLOCKS.items():
            with self.subTest(name):
                self.assertIn("bench/run", "\n".join(block(nothing)))

    def test_every_measurement_has_a_place_in_the_tables(self):
        self.assertEqual(sorted(table.RESULTS), sorted(main.MEASUREMENTS))


class Targets(unittest.TestCase):
    def at(self, **values):
        return {"0.95": {key: {"value": value, "reason": "", "least": None}
                         for key, value in values.items()}}

    def engine(self, title, rate, one, two):
        found = {"title": title, "vectors_per_second": rate,
                 "at_recall": self.at(qps_1=one, qps_2=two)}
        return found | {"at_recall": found["at_recall"] | {
            "0.99": {key: {"value": None, "reason": "", "least": None} for key in ("qps_1", "qps_2")}}}

    def found(self, linked=120_000.0, ours=50_000.0, clustered=30_000.0):
        return {
            "peers": {"rows": {"sift": {"engines": {
                "hnswlib": self.engine("hnswlib", 5_000.0, 8_000.0, 15_000.0),
                "svs": self.engine("SVS", 10_000.0, 20_000.0, 25_000.0),
                "omendb": self.engine("OmenDB", 50_000.0, ours, 90_000.0)}}}},
            "scaling": {"rows": {"shards": {"8": {
                "import": {"linked_vectors_per_second": linked},
                "at_recall": self.at(qps=clustered / 2, qps_batch=clustered)}}}},
        }

    def named(self, found, word):
        return next(target for target in targets.all_targets(found) if word in target.what)

    def test_both_parts_of_the_import_target_count(self):
        self.assertTrue(self.named(self.found(), "bulk").is_met)
        self.assertFalse(self.named(self.found(linked=99_000.0), "bulk").is_met)
        self.assertIn("24.0 x 5,000", self.named(self.found(), "bulk").measured)

    def test_ours_is_compared_with_the_fastest_peer_only(self):
        self.assertTrue(self.named(self.found(), "SIFT, in-process").is_met)
        self.assertFalse(self.named(self.found(ours=39_000.0), "SIFT, in-process").is_met)
        self.assertIn("2.5 x SVS", self.named(self.found(), "SIFT, in-process").measured)
        self.assertEqual(peers.best_peer(self.found()["peers"]["rows"]["sift"], 0.99, "qps_1"), None)

    def test_the_cluster_is_compared_with_two_threads(self):
        self.assertTrue(self.named(self.found(), "concurrent").is_met)
        self.assertFalse(self.named(self.found(clustered=24_000.0), "concurrent").is_met)

    def test_what_was_not_measured_is_neither_met_nor_missed(self):
        for target in targets.all_targets(dict.fromkeys(table.RESULTS)):
            with self.subTest(target.what):
                self.assertIsNone(target.is_met)
                self.assertTrue(target.command.startswith("bench/run "))
        self.assertIsNone(self.named(self.found(), "resident").is_met)


class Profile(unittest.TestCase):
    LINES = [
        "  omen-bench  55a1b31220cf vnni_l2_u8_list (/x/release/omen-bench)",
        "  omen-cluster      55a1b3124cc1 vnni_rank (/x/omen-cluster)",
        "  omen-bench  55a1b313d190 $s9OmenIndex10BaseSearchV3run_10startCountyy (/x/omen-bench)",
        "  omen-bench ffffffff815e9efe do_anonymous_page ([kernel.kallsyms])",
        "  omen-cluster ffffffff815e9efe unix_stream_sendmsg ([kernel.kallsyms])",
        "  omen-cluster 7f00aa815e9efe [unknown] (/usr/lib/libx.so)",
        "no sample",
    ]

    def test_samples_are_counted_by_what_their_symbol_belongs_to(self):
        self.assertEqual(dict(profile.count_groups(self.LINES)), {
            "distances (SIMD kernels)": 1,
            "candidate order and prune (SIMD kernels)": 1,
            "walk on level 0": 1,
            "system: page faults": 1,
            "system: sockets": 1,
            "other": 1,
        })

    def test_small_groups_are_summed_up(self):
        found = {"a": {"groups": [{"group": "x", "share": 0.99}, {"group": "y", "share": 0.006},
                                  {"group": "z", "share": 0.004}]}}
        self.assertEqual(profile.table(found)[1], [["x", "99.0%"], ["less than that", "1.0%"]])


class Dims(unittest.TestCase):
    def test_rounds_are_merged_and_tabled(self):
        def row(dim, ns):
            return {"library": "OmenDB", "element": "u8", "metric": "l2", "dim": dim, "ns": ns}

        merged = dims.merge([[row(128, 4.0), row(256, 8.0)], [row(128, 6.0), row(256, 8.5)],
                             [row(128, 5.0), row(256, 9.0)]])
        self.assertEqual(dims.table(merged), (["ns per row", "128", "256"],
                                              [["OmenDB, u8, l2", "5.0", "8.5"]]))


class Against(unittest.TestCase):
    """`bench/run against`: the order of the turns, and what the ratios of the rounds allow to say."""

    SPEED = against.Figure("QPS", "a/qps", less_is_better=False)
    TIME = against.Figure("ms", "a/ms", less_is_better=True)

    def test_the_sides_begin_in_turn_and_each_measures_once_a_round(self):
        self.assertEqual([side for _, side in against.turns(4)],
                         ["commit", "here", "here", "commit"] * 2)
        for rounds in (5, 6):
            found = against.turns(rounds)
            self.assertEqual(sorted(found), [(number, side) for number in range(rounds)
                                             for side in ("commit", "here")])

    def test_the_spread_is_all_rounds_until_there_are_enough_to_leave_some_out(self):
        for count, left_out in [(5, 0), (8, 0), (9, 1), (11, 2), (12, 2), (20, 5)]:
            ratios = [1 + number / 100 for number in range(count)]
            random.Random(count).shuffle(ratios)
            self.assertEqual(against.spread(ratios),
                             (1 + left_out / 100, 1 + (count - 1 - left_out) / 100), count)

    def test_the_spread_holds_the_true_ratio_as_often_as_it_says(self):
        seed = random.randrange(1 << 32)
        generator = random.Random(seed)
        for rounds in (5, 9, 20):
            held = 0
            for _ in range(2000):
                # Skewed, as times are.
                low, high = against.spread([generator.lognormvariate(0.3, 0.2)
                                            for _ in range(rounds)])
                held += low <= math.exp(0.3) <= high
            # Four standard deviations below what is promised.
            least = against.CONFIDENCE - 4 * math.sqrt(0.93 * 0.07 / 2000)
            self.assertGreater(held / 2000, least, f"seed {seed}, {rounds} rounds")

    def test_only_a_spread_without_1_is_a_verdict(self):
        old = [100.0, 110, 90, 100, 105]
        for factors, of_speed, of_time in [([1.1, 1.2, 1.05, 1.3, 1.1], "better", "worse"),
                                           ([0.9, 0.8, 0.95, 0.7, 0.99], "worse", "better"),
                                           ([1.1, 1.2, 0.99, 1.3, 1.1], against.SAME, against.SAME),
                                           ([1.0, 1.2, 1.1, 1.3, 1.1], against.SAME, against.SAME)]:
            new = [value * factor for value, factor in zip(old, factors)]
            for figure, verdict in ((self.SPEED, of_speed), (self.TIME, of_time)):
                row = against.compare(figure, old, new)
                self.assertEqual(row["verdict"], verdict, (figure, factors))
                self.assertAlmostEqual(row["ratio"], sorted(factors)[2])
                self.assertAlmostEqual(row["spread"][1], max(factors))
                self.assertEqual(row["commit"], 100)

    def test_ratios_are_of_one_round_and_not_of_all(self):
        """A machine that becomes ten times slower meanwhile slows both sides."""
        old = [1.0, 2, 4, 8, 10]
        row = against.compare(self.TIME, old, [value * 0.9 for value in old])
        self.assertEqual(row["verdict"], "better")
        self.assertAlmostEqual(row["ratio"], 0.9)

    def test_what_one_side_lacks_and_what_has_no_ratio_is_said(self):
        self.assertEqual(against.compare(self.TIME, [None] * 5, [1.0] * 5)["verdict"],
                         "one side does not measure it")
        self.assertEqual(against.compare(self.TIME, [0.0] * 5, [0.0] * 5)["verdict"], against.SAME)
        self.assertIn("no ratio", against.compare(self.TIME, [0.0] * 5, [1.0] * 5)["verdict"])
        row = against.compare(self.TIME, [None, 1.0, 1.0, 1.0, 1.0, 1.0], [2.0] * 6)
        self.assertEqual((row["verdict"], row["ratio"]), ("worse", 2))

    def test_figures_are_found_by_keys_and_by_elements_of_lists(self):
        rows = {"a": {"points": [{"width": 32, "qps": 5}, {"width": 64.0, "qps": 7}], "flag": True}}
        for path, value in [("a/points/width=64/qps", 7), ("a/points/width=65/qps", None),
                            ("a/points", None), ("a/flag", None), ("b/c", None), ("a/points/0", None)]:
            self.assertEqual(against.more("", path).of(rows), value, path)

    def test_every_figure_is_in_what_was_measured_last(self):
        """The paths are right; what the compact set measures at other sizes is looked up at theirs."""
        for name, what in against.MEASUREMENTS.items():
            last = results.load(name)
            self.assertIsNotNone(last, name)
            for figure in what.figures:
                path = figure.path.replace("shards/2/", "shards/8/").replace("open/2/", "open/8/")
                self.assertIsNotNone(figure._replace(path=path).of(last["rows"]), (name, path))

    def test_a_commit_that_is_none_and_too_few_rounds_are_told(self):
        parser = main.make_parser()
        for words, text in [(["no-such-commit"], "no-such-commit"),
                            (["HEAD", "peers", "dims"], "dims: expected some of peers"),
                            (["HEAD", "--rounds", "4"], "--rounds 4: fewer than 5")]:
            with self.assertRaises(Failure) as caught:
                against.run(parser.parse_args(["against", *words]))
            self.assertIn(text, str(caught.exception))

    def test_the_rows_of_a_side_are_read_by_its_own_code(self):
        """A side of another format: its module measures, and prints what is no part of the rows."""
        with tempfile.TemporaryDirectory() as folder:
            package = Path(folder) / "bench" / "omenbench"
            package.mkdir(parents=True)
            (package / "__init__.py").write_text("")
            (package / "results.py").write_text(
                "class Recorder:\n    def __init__(self, *all): self.rows = {}\n")
            (package / "main.py").write_text(
                "import argparse, importlib\n"
                "module = lambda name: importlib.import_module(f'omenbench.{name}')\n"
                "def make_parser():\n"
                "    parser = argparse.ArgumentParser()\n"
                "    parser.add_argument('command')\n"
                "    parser.add_argument('--data')\n"
                "    return parser\n")
            (package / "peers.py").write_text(
                "def run(options, recorder):\n"
                "    print('a table')\n"
                "    recorder.rows['data'] = options.data\n")
            side = against.Side(Path(folder), [])
            self.assertEqual(side.measure("peers", ["--data", "/d"]), {"data": "/d"})


if __name__ == "__main__":
    unittest.main()
