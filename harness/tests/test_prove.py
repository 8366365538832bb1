# SPDX-License-Identifier: GPL-2.0
import os
import types
from unittest import mock

from harness import assemble, boot, build, project, proof, prove, report
from harness.tests import DRIVER, Case
from harness.tests.test_proof import PROOF, SUITE, SeriesCase, result


class Commits(SeriesCase):
    def test_their_options_are_not_set(self):
        self.patch(build, 'ROOT', self.root)
        kernel = prove.ProvedKernel(self.plan(), 'x86_64', self.kernel, 2)
        self.assertEqual(kernel.tests_fragment(),
                         'CONFIG_KUNIT=y\nCONFIG_DRIVER_KUNIT_TEST=y\n')
        kernel = prove.ProvedKernel(self.plan(), 'x86_64', self.kernel, 3)
        self.assertIn('CONFIG_FUNCTION_KUNIT_TEST=y\n', kernel.tests_fragment())

    def test_commits_lead_to_the_series(self):
        plan = self.plan()
        repo = assemble.stock(self.base)
        found = prove.commits(plan, repo)
        self.assertEqual(len(found), 6)
        show = [assemble.git(repo, 'show', f'{commit}:driver.c') for commit in found]
        self.assertEqual(show[0], DRIVER)
        self.assertIn('line ten', show[1])
        self.assertNotIn('line three', show[1])
        self.assertEqual(assemble.git(repo, 'show', f'{found[0]}:tests/driver_kunit.c'), SUITE)

    def test_tests_that_do_not_apply_first(self):
        text = PROOF.replace('[[patch]]', '[[test]]\nname = "driver-spell-three.patch"\n'
                             'needs = "driver-spell-ten.patch"\nwhy = "a test of the test"\n'
                             '[[patch]]', 1)
        self.describe(text.replace('''[[patch]]
name = "driver-spell-three.patch"
machine = "x86_64-direct"
cases = ["driver.spells_three", "thing.*.does"]
''', ''))
        plan = self.plan()
        patch = self.base.dir / plan.patches['driver-spell-three.patch']
        patch.write_text(patch.read_text().replace(' line 4', ' line ten'))
        self.fails('with the tests in front of all other patches: ', prove.commits, plan,
                   assemble.stock(self.base))


class Choosing(SeriesCase):
    def chosen(self, **variables):
        with mock.patch.dict(os.environ, variables):
            return [one.pattern for one in prove.chosen_proofs(self.plan())]

    def test_one_patch_machine_or_suite(self):
        self.assertEqual(len(self.chosen()), 4)
        self.assertEqual(self.chosen(PATCH='driver-spell-ten*'), ['driver.spells.ten'])
        self.assertEqual(self.chosen(PATCH='driver: spell ten'), ['driver.spells.ten'])
        self.assertEqual(self.chosen(PATCH='0001-*'), ['driver.spells.ten'])
        self.assertEqual(self.chosen(MACHINE='xen'), ['function.answers'])
        self.assertEqual(self.chosen(SUITE='thing'), ['thing.*.does'])
        self.assertEqual(self.chosen(SUITE='driver.spells*'),
                         ['driver.spells.ten', 'driver.spells_three'])

    def test_what_is_not_there_is_said(self):
        self.describe(PROOF.replace('machine = "x86_64-direct"\ncases = ["driver.spells.ten"]',
                                    'untested = "ten is ten"'))
        for variables, words in (({'PATCH': 'nonesuch'}, 'PATCH=nonesuch names no patch of 6.18'),
                                 ({'PATCH': '*comment*'}, 'untested: nobody runs a comment'),
                                 ({'PATCH': '000[14]*'}, ['untested: ten is ten\n', 'a comment']),
                                 ({'MACHINE': 'moon'}, 'unknown MACHINE=moon'),
                                 ({'SUITE': 'other'}, 'names no case for what PATCH=')):
            with mock.patch.dict(os.environ, variables):
                self.fails(words, prove.chosen_proofs, self.plan())


class Commands(Case):
    def setUp(self):
        super().setUp()
        # A mistake that is not noticed must not start to build kernels.
        self.patch(prove, 'prove_base', None)

    def test_base_without_proofs(self):
        os.environ['BASE'] = '6.18'
        self.fails('BASE=6.18 has no proof.toml', prove.command)

    def test_other_kernel(self):
        os.environ['KERNEL'] = '/nowhere'
        self.fails('not with KERNEL=', prove.command)

    def test_what_is_in_the_repository(self):
        for name in project.base_names():
            self.assertEqual(proof.problems(project.Base(name)), [])

    def test_exit_status(self):
        for proven, status in ((True, False), (False, True)):
            self.patch(prove, 'prove_base', lambda plan, proofs: proven)
            self.assertEqual(prove.command(), status)


class Measuring(SeriesCase):
    """With a machine whose boots are made up."""

    def setUp(self):
        super().setUp()
        self.boots = []
        self.machine = project.Machine('x86_64-direct')
        self.proofs = [proof.Proof('p', 'x86_64-direct', pattern)
                       for pattern in ('driver.spells_three', 'driver.spells', 'thing.a.does')]
        self.three, self.spells, self.thing = self.proofs

    def measure(self, behaviour):
        """What behaviour() says of the patterns of a boot: results, and problems."""
        def boot_cases(kernel, machine, proofs):
            self.boots.append([one.pattern for one in proofs])
            results, problems = behaviour(self.boots[-1])
            return types.SimpleNamespace(results=results, problems=problems)
        self.patch(prove, 'boot_cases', boot_cases)
        kernel = types.SimpleNamespace(base=self.base)
        return prove.measure(kernel, self.machine, self.proofs)

    def all_of(self, status):
        return [result(name, status) for name in
                ('driver.spells_three', 'driver.spells.ten', 'driver.spells.two', 'thing.a.does')]

    def test_one_boot_if_all_goes_well(self):
        for status in ('passed', 'failed'):
            self.boots.clear()
            found = self.measure(lambda patterns: (self.all_of(status), []))
            self.assertEqual(len(self.boots), 1)
            self.assertEqual(found[self.three].names(status), {'driver.spells_three'})
            self.assertEqual(len(found[self.spells].results), 2)

    def test_kernel_that_does_not_survive_one_of_them(self):
        def behaviour(patterns):
            if 'driver.spells' in patterns:
                return [], ['unexpected in the log: Kernel panic - not syncing']
            return [one for one in self.all_of('passed')
                    if proof.matches(patterns[0], one)], []
        found = self.measure(behaviour)
        self.assertEqual(len(self.boots), 4)
        self.assertIn('Kernel panic', str(found[self.spells]))
        self.assertEqual((str(found[self.three]), str(found[self.thing])), ('passed', 'passed'))

    def test_kernel_that_dies_after_the_first_of_several_cases(self):
        self.proofs = [proof.Proof('p', 'x86_64-direct', 'driver.*')]
        found = self.measure(lambda patterns: ([result('driver.spells_three', 'failed')], ['Oops']))
        self.assertTrue(found[self.proofs[0]].fails('driver.spells.ten'))

    def test_kernel_that_hangs_does_so_once_for_each_and_once_for_all(self):
        found = self.measure(lambda patterns: ([], ['did not power off within 300 s']))
        self.assertEqual(len(self.boots), 1 + len(self.proofs))
        self.assertEqual(str(found[self.thing]), 'did not power off within 300 s')

    def test_warning_during_one_of_those_that_pass(self):
        found = self.measure(lambda patterns: (
            [one for one in self.all_of('passed')
             if any(proof.matches(pattern, one) for pattern in patterns)],
            ['unexpected in the log: WARNING: here'] * ('thing.a.does' in patterns)))
        self.assertEqual(str(found[self.three]), 'passed')
        self.assertIn('WARNING: here', str(found[self.thing]))

    def test_failed_case_needs_no_boot_of_its_own(self):
        self.measure(lambda patterns: (self.all_of('failed'), ['WARNING: here']))
        self.assertEqual(len(self.boots), 1)

    def test_line_of_a_log_is_cut_down_to_its_words(self):
        self.assertEqual(prove.short('unexpected in the log: [    1.5] WARNING: here'),
                         'WARNING: here')
        self.assertEqual(len(prove.short('BUG: ' + 'x' * 99)), 60)

    def test_case_that_does_not_run(self):
        found = self.measure(lambda patterns: ([], []))
        self.assertEqual(str(found[self.three]), 'did not run')

    def test_what_the_kernel_is_told(self):
        told = []
        self.patch(boot, 'boot', lambda *arguments: told.append(arguments))
        self.patch(report, 'Report', lambda *arguments: None)
        kernel = types.SimpleNamespace(base=self.base, flavour='stock', image='image', source=None,
                                       pack_tests=lambda: 'initrd')
        machine = project.Machine('x86_64-direct')
        prove.boot_cases(kernel, machine, self.proofs[:2])
        prove.boot_cases(kernel, machine, self.proofs[2:])
        self.assertEqual([arguments[3] for arguments in told],
                         ['kunit.filter_glob=driver.spells* -- none',
                          'kunit.enable=0 -- thing:-t:does'])


class WholeCommand(SeriesCase):
    """All of it, but for kernels and machines."""

    def setUp(self):
        super().setUp()
        self.built = []
        self.patch(prove, 'prepare', lambda proofs: None)
        self.patch(prove.ProvedKernel, 'build', lambda kernel: self.built.append(kernel))
        self.patch(prove.ProvedKernel, 'pack_tests', lambda kernel: None)
        self.patch(boot, 'accelerator', lambda machine, image: 'tcg')

    def prove(self, **other):
        def boot_cases(kernel, machine, proofs):
            text = (kernel.source / 'driver.c').read_text()
            works = {'driver.spells.ten': 'line ten' in text,
                     'driver.spells_three': 'line three' in text,
                     'thing.a.does': 'line three' in text,
                     'function.answers': 'function()' in text} | other
            return types.SimpleNamespace(problems=[], results=[
                result(name, 'passed' if good else 'failed') for name, good in works.items()])
        self.patch(prove, 'boot_cases', boot_cases)
        plan = self.plan()
        return prove.prove_base(plan, prove.chosen_proofs(plan))

    def test_proven(self):
        self.assertTrue(self.prove())
        text = self.output.getvalue()
        self.assertRegex(text, r'driver: spell ten\n  x86_64-direct  driver.spells.ten +failed +'
                               r'passed')
        self.assertRegex(text, r'function.answers +cannot be built: no function\(\)  passed')
        self.assertIn('driver: add a comment\n  untested: nobody runs a comment', text)
        self.assertIn('kernel 2 of 4: Linux 6.18.99 with the tests and 1 of 5 other patches, for 3 '
                      'of the cases\n', text)
        self.assertTrue(text.endswith(
            '3 of 3 patches are proven, by cases that fail without the patch and pass with it; '
            '1 more have none, for the reasons that are given.\n'))
        self.assertEqual([kernel.flavour for kernel in self.built],
                         ['stock', 'patch-1', 'patch-2', 'patch-3'])
        self.assertEqual([kernel.programs for kernel in self.built], [True, True, True, False])

    def test_case_that_passes_anyway(self):
        self.assertFalse(self.prove(**{'driver.spells.ten': True}))
        self.assertIn('NOT PROVEN: passes on the base, which lacks the patch: driver.spells\n',
                      self.output.getvalue())
        self.assertIn('2 of 3 patches are proven', self.output.getvalue())

    def test_case_that_fails_for_good(self):
        self.assertFalse(self.prove(**{'driver.spells.ten': False}))
        self.assertIn('NOT PROVEN: still fails with the patch\n      driver.spells.ten\n'
                      '        # EXPECTATION FAILED', self.output.getvalue())

    def test_one_patch_takes_three_kernels(self):
        os.environ['PATCH'] = 'driver: add a function'
        self.assertTrue(self.prove())
        self.assertEqual([kernel.flavour for kernel in self.built], ['patch-3'])
        os.environ['PATCH'] = 'driver: spell three'
        self.assertTrue(self.prove())
        self.assertEqual([kernel.flavour for kernel in self.built][1:],
                         ['stock', 'patch-1', 'patch-2'])
