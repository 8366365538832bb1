# SPDX-License-Identifier: GPL-2.0
import os
import types

from harness import assemble, boot, build, project, proof, prove, report
from harness.tests import DRIVER, Case, KernelCase

SUITE = '''
static struct kunit_case driver_cases[] = {
	KUNIT_CASE(spells_three),
	KUNIT_CASE_PARAM(spells, gen),
	{}
};
static struct kunit_suite driver_suite = {
	.name = "driver",
};
'''

NEW_SUITE = SUITE.replace('"driver"', '"function"').replace('spells_three', 'answers')

PROGRAM = '''
TEST_F(thing, does)
{
}
TEST_F(thing, also_does)
{
}
TEST_HARNESS_MAIN
'''

PROOF = '''
[[test]]
name = "function-add-tests.patch"
needs = "driver-add-a-function.patch"
why = "no function()"

[[patch]]
name = "driver-spell-ten.patch"
machine = "x86_64-direct"
cases = ["driver.spells.ten"]

[[patch]]
name = "driver-spell-three.patch"
machine = "x86_64-direct"
cases = ["driver.spells_three", "thing.*.does"]

[[patch]]
name = "driver-add-a-function.patch"
machine = "xen"
cases = ["function.answers"]

[[patch]]
name = "driver-add-a-comment.patch"
untested = "nobody runs a comment"
'''

WHY = '\n\nThere has to be a reason for each change, and it has to have some number of words.'


def result(name, status='passed'):
    suite, _, case = name.partition('.')
    return report.Result(suite, case, status, '# EXPECTATION FAILED' if status == 'failed' else '')


def seen(*statuses, wrong=None):
    return proof.Seen([result(f'demo.case.{number}', status)
                       for number, status in enumerate(statuses)], wrong)


class SeriesCase(KernelCase):
    """A series of fixes, a function, tests of both, a document."""

    def setUp(self):
        super().setUp()
        assemble.git(self.work, 'reset', '--quiet', '--hard', 'base')
        ten = DRIVER.replace('line 10', 'line ten')
        three = ten.replace('line 3\n', 'line three\n')
        for subject, files in (
                ('driver: spell ten', {'driver.c': ten}),
                ('driver: spell three', {'driver.c': three}),
                ('driver: add a function', {'driver.c': three.replace('line 18', 'function()')}),
                ('driver: add a comment', {'driver.c': '/* It is slow. */\n' + three.replace(
                    'line 18', 'function()')}),
                ('docs: explain the driver', {'Documentation/driver.rst': 'It drives.\n'}),
                ('function: add tests', {
                    'Kconfig': 'config KUNIT\nconfig FUNCTION_KUNIT_TEST\n',
                    'tests/function_kunit.c': NEW_SUITE}),
                ('driver: add tests', {
                    'Kconfig': 'config KUNIT\nconfig FUNCTION_KUNIT_TEST\n'
                               'config DRIVER_KUNIT_TEST\n',
                    'tests/driver_kunit.c': SUITE,
                    'tests/.kunitconfig': 'CONFIG_KUNIT=y\nCONFIG_FUNCTION_KUNIT_TEST=y\n'
                                          'CONFIG_DRIVER_KUNIT_TEST=y\n',
                    'tools/testing/selftests/dma/thing.c': PROGRAM})):
            for name, text in files.items():
                (self.work / name).parent.mkdir(parents=True, exist_ok=True)
                (self.work / name).write_text(text)
            assemble.git(self.work, 'add', '--all', '--force')
            assemble.git(self.work, 'commit', '--quiet', '--message', subject + WHY)
        self.write_back(self.work)
        self.describe(PROOF)

    def make_kernel(self, name, *version):
        tree = super().make_kernel(name, *version)
        (tree / 'Kconfig').write_text('config KUNIT\n')
        assemble.git(tree, 'add', '--force', 'Kconfig')
        assemble.git(tree, 'commit', '--quiet', '--amend', '--no-edit')
        return tree

    def describe(self, text):
        (self.base.dir / 'proof.toml').write_text(text)

    def plan(self):
        return proof.Plan(self.base).checked()


class Planning(SeriesCase):
    def test_tests_come_first(self):
        plan = self.plan()
        self.assertEqual([proof.plain(patch) for patch, _ in plan.order()], [
            'function-add-tests.patch', 'driver-add-tests.patch', 'driver-spell-ten.patch',
            'driver-spell-three.patch', 'driver-add-a-function.patch',
            'driver-add-a-comment.patch', 'docs-explain-the-driver.patch'])

    def test_every_patch_on_the_base_right_before_it_and_with_it(self):
        plan = self.plan()
        steps = plan.steps([one for proofs in plan.proofs.values() for one in proofs])
        self.assertEqual({applied: [one.pattern for one in proofs]
                          for applied, proofs in steps.items()}, {
            0: ['driver.spells.ten', 'driver.spells_three', 'thing.*.does', 'function.answers'],
            1: ['driver.spells.ten', 'driver.spells_three', 'thing.*.does'],
            2: ['driver.spells_three', 'thing.*.does', 'function.answers'],
            3: ['function.answers']})

    def test_tests_that_cannot_be_built_yet(self):
        plan = self.plan()
        self.assertEqual(plan.unbuilt(2), {'function': 'no function()'})
        self.assertEqual(plan.lost_options(2), {'FUNCTION_KUNIT_TEST'})
        self.assertEqual((plan.unbuilt(3), plan.lost_options(3)), ({}, set()))

    def test_their_options_are_not_set(self):
        self.patch(build, 'ROOT', self.root)
        kernel = prove.ProvedKernel(self.plan(), 'x86_64', self.kernel, 2)
        self.assertEqual(kernel.tests_fragment(),
                         'CONFIG_KUNIT=y\nCONFIG_DRIVER_KUNIT_TEST=y\n')
        kernel = prove.ProvedKernel(self.plan(), 'x86_64', self.kernel, 3)
        self.assertIn('CONFIG_FUNCTION_KUNIT_TEST=y\n', kernel.tests_fragment())

    def test_each_mistake_is_said(self):
        for before, after, words in (
                ('driver-spell-ten', 'driver-spell-tin', 'tin.patch is no patch of the series'),
                ('driver-spell-ten', 'driver-spell-tin', 'driver-spell-ten.patch has no entry'),
                ('machine = "xen"', 'machine = "moon"', 'unknown machine moon: choose one of arm'),
                ('spells_three', 'spells_tree', 'x86_64-direct has a case driver.spells_tree'),
                ('thing.*.does', 'thing.*.doe', 'x86_64-direct has a case thing.*.doe'),
                ('untested = "nobody', 'tested = "nobody', 'expected either machine = and cases ='),
                ('driver-add-a-comment', 'driver-add-tests', 'only adds tests'),
                ('driver-add-a-comment', 'driver-spell-ten', 'and is said to be untested'),
                ('why = "no function()"\n', '', 'also has to say why'),
                ('cases = ["driver.spells.ten"]', 'cases = []', 'expected either machine'),
                ('cases = ["driver.spells.ten"]', 'cases = "driver"', 'expected either machine'),
                ('needs = "driver-add-a-function', 'needs = "driver-add-tests',
                 'which is a test as well')):
            self.assertIn(before, PROOF)
            self.describe(PROOF.replace(before, after))
            self.fails(words, self.plan)
            self.assertTrue(proof.problems(self.base))

    def test_series_without_proofs_is_for_make_check_to_accept(self):
        (self.base.dir / 'proof.toml').unlink()
        self.assertEqual(proof.problems(self.base), [])

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
        os.environ.update(variables)
        found = [one.pattern for one in prove.chosen_proofs(self.plan())]
        for name in variables:
            del os.environ[name]
        return found

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
        for variables, words in (({'PATCH': 'nonesuch'}, 'PATCH=nonesuch names no patch of 6.18'),
                                 ({'PATCH': '*comment*'}, 'untested: nobody runs a comment'),
                                 ({'MACHINE': 'moon'}, 'unknown MACHINE=moon'),
                                 ({'SUITE': 'other'}, 'names no case for what PATCH=')):
            os.environ.update(variables)
            self.fails(words, prove.chosen_proofs, self.plan())
            for name in variables:
                del os.environ[name]


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


class CasesOfPatterns(SeriesCase):
    def cases(self, *patterns):
        return proof.Cases(self.base, patterns)

    def test_glob_lets_all_of_them_through(self):
        self.assertEqual(self.cases('driver.spells.ten').glob(), 'driver.spells')
        self.assertEqual(self.cases('driver.spells.ten', 'driver.spells_three').glob(),
                         'driver.spells*')
        self.assertEqual(self.cases('driver.spells', 'function.answers').glob(), '*.*')

    def test_program_runs_the_tests_in_question(self):
        self.assertEqual(self.cases('thing.a.does').arguments(), 'thing:-t:does')
        self.assertEqual(self.cases('thing').arguments(), 'thing')
        self.assertEqual(self.cases('driver.spells').arguments(), 'none')

    def test_pattern_means_all_parameters(self):
        for name, pattern, same in (
                ('driver.spells.ten', 'driver.spells', True),
                ('driver.spells_three', 'driver.spells', False),
                ('driver.spells.ten', 'driver.spells.t*', True),
                ('driver.spells.nine', 'driver.spells.t*', False),
                ('thing.a.does', 'thing.*.does', True),
                ('thing.a.also_does', 'thing.*.does', False)):
            self.assertEqual(proof.matches(pattern, result(name)), same, (name, pattern))


class Judging(Case):
    def test_words(self):
        for one, words in ((seen('failed'), 'failed'), (seen('passed'), 'passed'),
                           (seen('skipped'), 'skipped'), (seen('failed', 'failed'), 'all 2 fail'),
                           (seen('failed', 'passed', 'skipped'), '1 of 2 fail'),
                           (seen('passed', 'passed', 'skipped'), '2 pass'),
                           (seen('passed', wrong='WARNING: here'), 'WARNING: here')):
            self.assertEqual(str(one), words)

    def test_what_proves(self):
        good, bad = seen('passed', 'passed'), seen('failed', 'passed')
        for before in (bad, seen('failed', 'failed'), seen(wrong='Oops'),
                       seen('passed', 'passed', wrong='WARNING: here')):
            self.assertIsNone(proof.unproven(before, before, good))
            self.assertIsNone(proof.unproven(seen(wrong='cannot be built'), before, good))

    def test_what_does_not(self):
        good, bad = seen('passed', 'passed'), seen('failed', 'passed')
        for stock, before, after, words in (
                (bad, bad, bad, 'still fails'), (bad, bad, seen('passed', 'failed'), 'still fails'),
                (bad, bad, seen('passed', 'passed', wrong='WARNING'), 'still fails'),
                (bad, bad, seen('skipped', 'skipped'), 'does not run'),
                (good, bad, good, 'passes on the base'), (bad, good, good, 'passes without'),
                # What failed has to be what passes now.
                (bad, bad, seen('skipped', 'passed'), 'passes on the base')):
            self.assertIn(words, proof.unproven(stock, before, after))


class Measuring(SeriesCase):
    """With a machine whose boots are made up."""

    def setUp(self):
        super().setUp()
        self.boots = []
        self.machine = types.SimpleNamespace(name='x86_64-direct')
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
        return prove.measure(None, self.machine, self.proofs)

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
        self.assertRegex(text, r'driver: spell ten\n  x86_64-direct  driver.spells.ten +failed +passed')
        self.assertRegex(text, r'function.answers +cannot be built: no function\(\)  passed')
        self.assertIn('driver: add a comment\n  untested: nobody runs a comment', text)
        self.assertIn('3 of 3 patches are proven, by cases that fail without the patch and pass '
                      'with it; 1 more have none', text)
        self.assertEqual([kernel.flavour for kernel in self.built],
                         ['stock', 'patch-1', 'patch-2', 'patch-3'])
        self.assertEqual([kernel.programs for kernel in self.built], [True, True, True, False])

    def test_case_that_passes_anyway(self):
        self.assertFalse(self.prove(**{'driver.spells.ten': True}))
        self.assertIn('NOT PROVEN: passes on the base', self.output.getvalue())
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
