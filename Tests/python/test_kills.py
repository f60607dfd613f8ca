"""Processes are killed under concurrent writes, and everything acknowledged is still there."""

import random
import unittest

from torture import DURABILITIES, VICTIMS, Options, Torture

# Kills in each durability mode; scripts/torture kills more.
KILLS = {"worker": 70, "coordinator": 8, "everything": 8}
# Acknowledged writes for each kill, far below what the slowest machine manages.
WRITES_PER_KILL = 20


class Kills(unittest.TestCase):
    def test_nothing_acknowledged_is_lost_whoever_is_killed_in_whichever_mode(self):
        for victim in VICTIMS:
            for durability in DURABILITIES:
                seed = random.randrange(1 << 31)
                with self.subTest(f"{victim} {durability}, seed {seed}"):
                    options = Options(victim, durability, KILLS[victim], seed)
                    result = Torture(options).run()
                    self.assertTrue(result.verdict.ok, result.verdict.details())
                    self.assertEqual(result.kills, KILLS[victim])
                    self.assertGreater(result.acknowledged, WRITES_PER_KILL * result.kills)
                    self.assertGreater(result.fewest_per_round, 0)


if __name__ == "__main__":
    unittest.main()
