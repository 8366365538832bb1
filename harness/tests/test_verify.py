# SPDX-License-Identifier: GPL-2.0
"""The long checks: what is run, what is kept, and that nothing that fails passes for good."""

import os
import types

from harness import packages, readme, record, verify
from harness.project import Failure
from harness.tests import Case


def refuse(base):
    raise Failure('3 of 4 mutants survived\nwhich ones stands above')


class Verify(Case):

    def setUp(self):
        super().setUp()
        self.kept = {}
        self.digest = '0123'
        base = types.SimpleNamespace(name='demo', digest=lambda: self.digest)
        self.patch(verify, 'asked', lambda *arguments: [base])
        self.patch(verify, 'CHECKS', {'good': lambda base: 'all is well',
                                      'bad': refuse, 'none': lambda base: None})
        self.patch(verify, 'machine_names', lambda: [])
        for name in ('ensure', 'for_arch'):
            self.patch(packages, name, lambda *needed: None)
        self.patch(record, 'commit', lambda: 'abc')
        self.patch(record, 'keep', lambda base, name, text, at: self.kept.update({name: text}))
        self.patch(readme, 'update', lambda: None)

    def test_failure_of_one_check_is_that_of_all_and_does_not_end_them(self):
        os.environ['CHECK'] = 'bad good'
        self.assertTrue(verify.command())
        self.assertIn('demo good: all is well', self.output.getvalue())
        self.assertIn('which ones stands above', self.output.getvalue())

    def test_chosen_check_alone(self):
        os.environ['CHECK'] = 'good'
        self.assertFalse(verify.command())
        self.assertNotIn('survived', self.output.getvalue())

    def test_keeps_what_failed_too(self):
        os.environ['RECORD'] = '1'
        self.assertTrue(verify.command())
        self.assertEqual(self.kept, {'good': 'all is well',
                                     'bad': 'FAILED: 3 of 4 mutants survived'})

    def test_keeps_nothing_of_a_series_that_changes(self):
        def change(base):
            self.digest = '4567'
            return 'all is well'
        verify.CHECKS['good'] = change
        os.environ.update(RECORD='1', CHECK='good')
        self.assertTrue(verify.command())
        self.assertIn('changed meanwhile, so this is not kept', self.output.getvalue())
        self.assertEqual(self.kept, {})

    def test_what_a_base_has_none_of(self):
        os.environ.update(RECORD='1', CHECK='none')
        self.assertFalse(verify.command())
        self.assertIn('demo none: there is none for this base', self.output.getvalue())
        self.assertEqual(self.kept, {})

    def test_keeps_nothing_unasked(self):
        verify.command()
        self.assertEqual(self.kept, {})

    def test_part_of_a_series_is_not_verified(self):
        os.environ['MACHINE'] = 'xen'
        self.fails('not with MACHINE=', verify.command)

    def test_unknown_check_is_one_sentence(self):
        os.environ['CHECK'] = 'nonsense'
        self.fails('unknown CHECK=nonsense: choose one of good, bad, none', verify.command)
