# SPDX-License-Identifier: GPL-2.0
"""Results of long checks are kept with what they belong to, and known when outdated."""

import tomllib
from types import SimpleNamespace

from harness import record
from harness.tests import Case


class Keeping(Case):
    def setUp(self):
        super().setUp()
        self.digest = '0123'
        self.base = SimpleNamespace(name='6.18', dir=self.scratch, digest=lambda: self.digest)

    def rows(self):
        return record.table([self.base])[2:]

    def test_keeps_each_check_by_itself(self):
        record.keep(self.base, 'mutation', '9 of 9 mutants "killed"', 'abc')
        record.keep(self.base, 'bisect', '2 commits', 'abc')
        record.keep(self.base, 'bisect', '3 commits', 'def')
        self.assertEqual(self.rows(), [
            '| 6.18 | bisect | 3 commits | def |',
            '| 6.18 | mutation | 9 of 9 mutants "killed" | abc |'])

    def test_says_that_the_series_has_changed(self):
        record.keep(self.base, 'bisect', '3 commits', 'def')
        self.digest = '4567'
        self.assertEqual(self.rows(), [
            '| 6.18 | bisect | 3 commits | def, the series has changed since |'])

    def test_writes_toml_whatever_the_result(self):
        text = record.write({'a': {'commit': 'c', 'series': 's', 'result': 'a "\\" and\ttab é'}})
        self.assertEqual(tomllib.loads(text)['a']['result'], 'a "\\" and\ttab é')

    def test_a_patch_that_has_changed_is_not_tested(self):
        patch = self.base.dir / '0001-driver-spell-ten.patch'
        self.base.series = lambda: [(patch.name, [])]
        patch.write_text('@@ -1 +1 @@\n-10\n+ten\n')
        record.keep_tested(self.base, {patch.name: {'b', 'a'}})
        self.assertEqual(record.tested(self.base, patch.name), ['a', 'b'])
        # Another number, at another place.
        patch = patch.rename(self.base.dir / '0002-driver-spell-ten.patch')
        patch.write_text('@@ -2 +2 @@\n-10\n+ten\n')
        self.assertEqual(record.tested(self.base, patch.name), ['a', 'b'])
        patch.write_text('@@ -2 +2 @@\n-10\n+eleven\n')
        self.assertIsNone(record.tested(self.base, patch.name))
        self.assertIsNone(record.tested(self.base, '0003-another.patch'))
