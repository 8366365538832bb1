# SPDX-License-Identifier: GPL-2.0
from harness import assemble, proof, report
from harness.project import without_number
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
            self.change(subject + WHY, files)
        self.write_back(self.work)
        self.describe(PROOF)

    def commit(self, subject, files):
        super().commit(subject + WHY, files)

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
        self.assertEqual([without_number(patch) for patch, _ in plan.order()], [
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
                ('why = "no function()"\n', '', 'has to say why'),
                ('cases = ["driver.spells.ten"]', 'cases = []', 'expected either machine'),
                ('cases = ["driver.spells.ten"]', 'cases = "driver"', 'expected either machine'),
                ('why = "no', 'because = "of"\nwhy = "no', 'add-tests.patch: expected why ='),
                ('needs = "driver-add-a-function.patch"\n', '', 'need not be said to be so'),
                ('function-add-tests.patch"\nneeds = "driver-add-a-function.patch"',
                 'driver-spell-ten.patch"', 'driver-spell-ten.patch brings no tests'),
                ('needs = "driver-add-a-function', 'needs = "driver-add-tests',
                 'which is a test as well')):
            self.assertIn(before, PROOF)
            self.describe(PROOF.replace(before, after))
            self.fails(words, self.plan)
            self.assertTrue(proof.problems(self.base))

    def test_tests_that_see_what_is_static(self):
        text = (self.work / 'driver.c').read_text().replace('line 14', 'VISIBLE_IF_KUNIT line 14')
        self.commit('driver: test inside', {
            'driver.c': text, 'tests/open_kunit.c': NEW_SUITE.replace('function', 'open')})
        self.fails('driver-test-inside.patch has no entry', self.plan)
        self.describe('[[test]]\nname = "driver-test-inside.patch"\n'
                      'why = "it only makes line 14 visible to the tests"\n' + PROOF)
        plan = self.plan()
        self.assertIn('0008-driver-test-inside.patch', dict(plan.tests))
        self.assertEqual(plan.unbuilt(0), {'function': 'no function()'})

    def test_series_without_proofs_is_for_make_check_to_accept(self):
        (self.base.dir / 'proof.toml').unlink()
        self.assertEqual(proof.problems(self.base), [])


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

    def test_parameters_and_variants_are_no_cases(self):
        for name, case in (('driver.spells.ten.2', 'driver.spells'),
                           ('thing.a.b.does', 'thing.does'),
                           ('driver.spells_three', 'driver.spells_three')):
            cases = self.cases(name.partition('.')[0])
            self.assertEqual(cases.case_of(result(name)), case)

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
    def unproven(self, stock, before, after, case_of=lambda one: f'{one.suite}.case'):
        return proof.unproven(stock, before, after, case_of)

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
            self.assertIsNone(self.unproven(before, before, good))
            self.assertIsNone(self.unproven(seen(wrong='cannot be built'), before, good))

    def test_what_does_not(self):
        good, bad = seen('passed', 'passed'), seen('failed', 'passed')
        for stock, before, after, words in (
                (bad, bad, bad, 'still fails'), (bad, bad, seen('passed', 'failed'), 'still fails'),
                (bad, bad, seen('passed', 'passed', wrong='WARNING'), 'still fails'),
                (bad, bad, seen('skipped', 'skipped'), 'does not run'),
                (good, bad, good, 'passes on the base'), (bad, good, good, 'passes without'),
                # What failed has to be what passes now.
                (bad, bad, seen('skipped', 'passed'), 'passes on the base')):
            self.assertIn(words, self.unproven(stock, before, after))

    def test_each_case_of_a_wildcard_has_to_fail(self):
        bad, good = seen('failed', 'passed'), seen('passed', 'passed')
        for stock, before, after, words in (
                (bad, bad, good, 'passes on the base, which lacks the patch: demo.case.1'),
                (seen('failed', 'failed'), bad, good, 'those before it are there: demo.case.1'),
                (bad, bad, seen('passed', 'skipped'), 'does not run here: demo.case.1'),
                (good, good, good, 'lacks the patch: demo.case.0, demo.case.1')):
            found = self.unproven(stock, before, after, lambda one: f'{one.suite}.{one.case}')
            self.assertIn(words, found)
