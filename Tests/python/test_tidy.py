"""Every rule of scripts/tidy, scripts/tally and scripts/minutes, seen failing and seen passing."""

import importlib.machinery
import importlib.util
import unittest
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def load_script(name: str):
    loader = importlib.machinery.SourceFileLoader(name, str(SCRIPTS / name))
    spec = importlib.util.spec_from_loader(name, loader)
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up by name.
    import sys
    sys.modules[name] = module
    sys.dont_write_bytecode, kept = True, sys.dont_write_bytecode
    loader.exec_module(module)
    sys.dont_write_bytecode = kept
    return module


tidy = load_script("tidy")
tally = load_script("tally")
minutes = load_script("minutes")

PACKAGE = '''
    module("OmenCore", ["CXXHash"]),
    module("OmenLoop", ["OmenCore", "CUV"]),
    module("OmenClient", [
        "OmenCore",
        // module("OmenGhost", ["CUV"]),
    ]),
    module("OmenLonely"),
    .executableTarget(
        name: "omen-cluster",
        dependencies: ["OmenCore", .product(name: "TOMLKit", package: "TOMLKit")],
    tests("OmenCoreTests", ["OmenCore"]),
    .target(name: "COmen"),
    .target(
        name: "TestSupport",
        dependencies: ["OmenCore"],
        path: "Tests/TestSupport",
    ),
'''


def tree(package: str = PACKAGE, ratchet=None, **files):
    """A tree of the named files; `__` in a name stands for `/`, and `_dot_` for `.`."""
    texts = {name.replace("__", "/").replace("_dot_", "."): text for name, text in files.items()}
    texts["Package.swift"] = package
    texts.setdefault("Tests/OmenCoreTests/A.swift", "@Test func holds() {}\n")
    return tidy.Tree(texts, {}, ratchet or {})


class Arrows(unittest.TestCase):
    def test_lists_are_read_from_the_package(self):
        self.assertEqual(tidy.arrows(PACKAGE), {
            "OmenCore": {"CXXHash"},
            "OmenLoop": {"OmenCore", "CUV"},
            "OmenClient": {"OmenCore"},
            "OmenLonely": set(),
            "omen-cluster": {"OmenCore", "TOMLKit"},
            "OmenCoreTests": {"OmenCore"},
            "TestSupport": {"OmenCore"},
        })

    def test_imports_outside_the_list_are_found(self):
        bad = tree(Sources__OmenClient__A_dot_swift="import Glibc\npackage import OmenLoop\n")
        self.assertEqual(tidy.rule_imports(bad), [
            "Sources/OmenClient/A.swift:2: OmenClient may not import OmenLoop"])

    def test_foundation_is_for_executables_and_tests(self):
        text = "internal import Foundation\n"
        self.assertEqual(len(tidy.rule_imports(tree(Sources__OmenCore__A_dot_swift=text))), 1)
        good = tree(Tests__OmenCoreTests__B_dot_swift="import Testing\nimport Foundation\n")
        good.texts["Sources/omen-cluster/A.swift"] = text + "internal import TOMLKit\n"
        self.assertEqual(tidy.rule_imports(good), [])

    def test_commented_imports_do_not_count(self):
        good = tree(Sources__OmenCore__A_dot_swift='// import CUV\nlet a = "\\nimport CUV"\n')
        self.assertEqual(tidy.rule_imports(good), [])

    def test_a_target_must_be_declared(self):
        bad = tree(Sources__OmenGhost__A_dot_swift="let a = 1\n")
        self.assertIn("OmenGhost is not in Package.swift", tidy.rule_imports(bad)[0])

    def test_only_one_module_opens_each_door(self):
        package = PACKAGE.replace('module("OmenLonely")', 'module("OmenLonely", ["CUV"])')
        bad = tree(package, Sources__OmenLonely__A_dot_swift="internal import CUV\n")
        self.assertEqual(len(tidy.rule_imports(bad)), 1)
        self.assertEqual(len(tidy.rule_doors(bad)), 1)
        self.assertEqual(tidy.rule_doors(tree()), [])


class Code(unittest.TestCase):
    def test_banned_calls_are_found_in_libraries_only(self):
        for call in ["print(1)", "try? a()", "try! a()", "fatalError()", "DispatchQueue.main"]:
            with self.subTest(call):
                bad = tree(Sources__OmenCore__A_dot_swift=f"func a() {{ {call} }}\n")
                self.assertEqual(len(tidy.rule_banned_code(bad)), 1)
                good = tree()
                good.texts["Sources/omen-cluster/A.swift"] = f"{call}\n"
                self.assertEqual(tidy.rule_banned_code(good), [])

    def test_strings_and_comments_are_not_code(self):
        text = 'let a = "print(1)" // try? b\nlet b = """\n  try! x \\(c("y")) \n  """\n'
        good = tree(Sources__OmenCore__A_dot_swift=text + 'let d = #"\\" print("#\n')
        self.assertEqual(tidy.rule_banned_code(good), [])

    def test_code_inside_an_interpolation_is_code(self):
        bad = tree(Sources__OmenCore__A_dot_swift='let a = "x \\(try? b("}")) y"\n')
        self.assertEqual(len(tidy.rule_banned_code(bad)), 1)

    def test_unfinished_work_is_found(self):
        word = "TO" + "DO"
        bad = tree(Sources__OmenCore__A_dot_swift=f"// {word}: more\n")
        self.assertEqual(len(tidy.rule_unfinished(bad)), 1)
        self.assertEqual(tidy.rule_unfinished(tree()), [])

    def test_long_lines_are_found_unless_nothing_can_be_done(self):
        long = "x" * 101
        bad = tree(Sources__COmenKernels__a_dot_c=f"int {long};\n")
        self.assertEqual(len(tidy.rule_columns(bad)), 1)
        good = tree(Sources__OmenCore__A_dot_swift=f'f(\n    "{long}"\n)\n// https://{long}\n')
        self.assertEqual(tidy.rule_columns(good), [])


class Length(unittest.TestCase):
    def function(self, lines: int, head: str = "func long() {") -> str:
        return head + "\n" + "    a()\n" * (lines - 2) + "}\n"

    def complaints(self, text: str, path="Sources/OmenCore/A.swift", ratchet=None):
        return tidy.rule_length(tidy.Tree({path: text}, {}, ratchet or {}))

    def test_the_limit_is_exact(self):
        self.assertEqual(self.complaints(self.function(70)), [])
        self.assertEqual(self.complaints(self.function(71)), [
            "Sources/OmenCore/A.swift:1: long has 71 lines, at most 70"])

    def test_every_kind_of_function_is_measured(self):
        for head in ["init(a: Int) {", "deinit {", "subscript(a: Int) -> Int {",
                     "package static func a<T>(\n    b: (Int) -> T = { 1 }\n) throws {",
                     "    @inline(__always) private mutating func b() {"]:
            with self.subTest(head):
                self.assertEqual(len(self.complaints(self.function(75, head))), 1)

    def test_protocol_requirements_have_no_body(self):
        text = "protocol A {\n    func b()\n    init()\n}\n" + "struct B {\n" + "//\n" * 80 + "}\n"
        self.assertEqual(self.complaints(text), [])

    def test_braces_in_strings_do_not_end_a_function(self):
        text = 'func a() {\n    b("}")\n' + "    a()\n" * 80 + "}\n"
        self.assertEqual(len(self.complaints(text)), 1)

    def test_c_and_python_are_measured(self):
        c = self.function(80, "static int scan(const float *a) {")
        self.assertEqual(len(self.complaints(c, "Sources/C/a.c")), 1)
        python = "def a():\n" + "    b()\n" * 80
        self.assertEqual(len(self.complaints(python, "bench/a.py")), 1)

    def test_files_have_a_limit(self):
        self.assertEqual(len(self.complaints("//\n" * 501)), 1)
        self.assertEqual(self.complaints("//\n" * 500), [])

    def test_the_ratchet_only_turns_one_way(self):
        key = "Sources/OmenCore/A.swift long"
        self.assertEqual(self.complaints(self.function(80), ratchet={key: 80}), [])
        self.assertIn("must not grow", self.complaints(self.function(81), ratchet={key: 80})[0])
        self.assertIn("lower it", self.complaints(self.function(79), ratchet={key: 80})[0])
        self.assertIn("take it off", self.complaints(self.function(9), ratchet={key: 9})[0])
        self.assertIn("is gone", self.complaints("", ratchet={key: 80})[0])

    def test_the_ratchet_file_is_read(self):
        self.assertEqual(tidy.read_ratchet("# note\n80 a/b.swift long\n600 a/b.swift\n"),
                         {"a/b.swift long": 80, "a/b.swift": 600})


class Files(unittest.TestCase):
    def test_blobs_are_refused(self):
        self.assertEqual(len(tidy.rule_blobs(tidy.Tree({}, {"a.npy": (4 << 20) + 1}))), 1)
        self.assertEqual(tidy.rule_blobs(tidy.Tree({}, {"a.npy": 4 << 20})), [])

    def test_test_targets_need_tests_and_tests_need_a_target(self):
        self.assertEqual(tidy.rule_test_targets(tree()), [])
        empty = tree(Tests__OmenCoreTests__A_dot_swift="let a = 1\n")
        self.assertEqual(len(tidy.rule_test_targets(empty)), 1)
        stray = tree(Tests__OmenStrayTests__A_dot_swift="@Test func a() {}\n")
        self.assertEqual(len(tidy.rule_test_targets(stray)), 1)
        support = tree(Tests__TestSupport__A_dot_swift="let a = 1\n")
        self.assertEqual(tidy.rule_test_targets(support), [])

    def test_links_lead_somewhere(self):
        good = tree(docs__A_dot_md="[b](../bench/x.py) [c](../bench) [d](https://e.f) [g](#h)",
                    bench__x_dot_py="")
        self.assertEqual(tidy.rule_links(good), [])
        self.assertEqual(len(tidy.rule_links(tree(docs__A_dot_md="[b](B.md#part)"))), 1)

    def test_paths_of_one_machine_are_refused(self):
        for path in ["/wo" + "rk/data", "see /ro" + "ot/x"]:
            self.assertEqual(len(tidy.rule_machine_paths(tree(README_dot_md=path))), 1)
        self.assertEqual(tidy.rule_machine_paths(tree(README_dot_md="a/work/b, ~/root/c")), [])

    def test_history_is_for_commits(self):
        self.assertEqual(len(tidy.rule_diary(tree(README_dot_md="see iss" + "ue #12"))), 1)
        self.assertEqual(tidy.rule_diary(tree(README_dot_md="issues are welcome")), [])


class Minutes(unittest.TestCase):
    def test_steps_add_up_to_parts(self):
        steps = [(0, "setup"), (60, "release build"), (180, "format"), (182, "tidy"),
                 (190, "build, with the import check"), (300, "unit tests"),
                 (400, "Python tests"), (500, "lint and types of Python"),
                 (510, "package tests, and those of the examples")]
        self.assertEqual(minutes.parts(steps, 600), {
            "setup": 60, "release build": 120, "lint and types": 20, "debug build": 110,
            "Swift tests": 100, "Python tests": 100, "package tests": 90})

    def test_every_step_of_the_scripts_is_a_part(self):
        for name in ("test", "check"):
            for line in (SCRIPTS / name).read_text().splitlines():
                if line.startswith('step "'):
                    self.assertIn(minutes.part_of(line.split('"')[1]), minutes.PARTS.values(), line)

    def test_the_longest_tests_come_from_all_runners(self):
        swift = ('✔ Test holds() passed after 2.500 seconds.\n'
                 '✘ Test "breaks often" failed after 0.250 seconds with 1 issue.\n'
                 '✔ Test run with 2 tests in 1 suite passed after 99.0 seconds.\n')
        python = "2 passed\n7.25s call     test_kills.Kills.test_a\n1.00s setup    tests/x.py::b\n"
        self.assertEqual(minutes.longest([swift, python]), [
            (7.25, "test_kills.Kills.test_a"), (2.5, "holds()"), (1, "tests/x.py::b"),
            (0.25, "breaks often")])


class Tally(unittest.TestCase):
    def test_swift_runs_are_counted(self):
        passed = "✔ Test run with 12 tests in 3 suites passed after 0.5 seconds.\n"
        self.assertEqual(tally.tally(passed), (12, 0))
        failed = ("✘ Test holds() failed after 0.1 seconds with 1 issue.\n"
                  "✘ Suite HashingTests failed after 0.1 seconds with 1 issue.\n"
                  "✘ Test run with 12 tests in 3 suites failed after 0.5 seconds with 1 issue.\n")
        self.assertEqual(tally.tally(failed), (11, 1))

    def test_python_runs_are_counted(self):
        self.assertEqual(tally.tally("x\npython: 7 passed, 1 failed, 2 skipped\n"), (7, 1))

    def test_a_runner_that_died_is_noticed(self):
        self.assertIsNone(tally.tally("Test holds() started.\n"))


if __name__ == "__main__":
    unittest.main()
