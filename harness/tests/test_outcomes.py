# SPDX-License-Identifier: GPL-2.0
import types

from harness import outcomes, project
from harness.tests import Case

COHERENT, STALE, REFUSED = 'mapped, coherent', 'mapped, stale data: wrote 1', 'refused: no (EIO)'
REVOKED, UNUSED = 'mapped, revoked in time', 'mapped, not used, revoked in time'
LOW, HIGH, PEER = 'within the DMA mask', 'above the 28-bit DMA mask', 'below one switch'


def outcome(memory, attribute, result, mapping='one page'):
    return {'mapping': mapping, 'memory': memory, 'attribute': attribute, 'result': result}


class Expected(Case):
    """What a machine's description says is what the series must do."""

    def setUp(self):
        super().setUp()
        self.machine = types.SimpleNamespace(name='demo', expect={
            LOW: 'coherent', HIGH: 'bounces', PEER: 'revoked', 'no route': 'unreachable',
            'host bridge': 'revoked unused',
            f'range of an HMM mirror, {LOW}': 'unreachable'})
        self.right = [
            outcome(LOW, 'none', COHERENT), outcome(LOW, 'REQUIRE_COHERENT', COHERENT),
            outcome(HIGH, 'none', STALE), outcome(HIGH, 'REQUIRE_COHERENT', REFUSED),
            outcome(PEER, 'none', REVOKED), outcome('no route', 'none', REFUSED),
            outcome('host bridge', 'none', UNUSED),
            outcome(LOW, 'HMM', REFUSED, 'range of an HMM mirror')]

    def test_all_as_it_should_be(self):
        self.assertEqual(outcomes.wrong(self.machine, self.right), [])

    def test_each_other_result_is_a_problem(self):
        for number, right in enumerate(self.right):
            for result in {COHERENT, STALE, REFUSED, REVOKED, UNUSED} - {right['result']}:
                found = list(self.right)
                found[number] = dict(right, result=result)
                self.assertEqual(len(outcomes.wrong(self.machine, found)), 1, found[number])

    def test_memory_that_was_not_tried(self):
        found = [entry for entry in self.right if entry['memory'] != PEER]
        self.assertEqual(outcomes.wrong(self.machine, found),
                         [f'demo: nothing was tried with "{PEER}"'])
        self.assertEqual(outcomes.wrong(self.machine, found, complete=False), [])

    def test_refusals_without_a_mapping_that_bounces_prove_nothing(self):
        for attribute, what in (('none', 'may bounce'), ('REQUIRE_COHERENT', 'may not')):
            found = [entry for entry in self.right
                     if (entry['memory'], entry['attribute']) != (HIGH, attribute)]
            self.assertEqual(outcomes.wrong(self.machine, found),
                             [f'demo: nothing was tried with "{HIGH}" that {what}'])

    def test_memory_of_which_the_machine_says_nothing(self):
        del self.machine.expect[HIGH]
        self.assertRegex(outcomes.wrong(self.machine, self.right)[0],
                         'machines/demo.toml does not say')

    def test_word_that_means_nothing(self):
        self.machine.expect[LOW] = 'coherant'
        self.assertRegex(outcomes.wrong(self.machine, self.right)[0],
                         'in a word of coherent, bounces')

    def test_every_machine_says_it_in_words_that_mean_something(self):
        for machine in map(project.Machine, project.machine_names()):
            self.assertLessEqual(set(machine.expect.values()), set(outcomes.MEANING))
            # Without the device that maps, there is nothing to say.
            has_device = any(word.startswith('edu,') for word in machine.qemu)
            self.assertEqual(LOW in machine.expect, has_device, machine.name)


class Verdict(Case):
    """When make run may say that its table proves something."""

    def problems(self, *pairs, expect='bounces'):
        machine = types.SimpleNamespace(name='demo', expect={LOW: expect})
        before = [outcome(LOW, attribute, stock) for attribute, stock, _ in pairs if stock]
        after = [outcome(LOW, attribute, series) for attribute, _, series in pairs if series]
        return outcomes.unproven(machine, outcomes.rows(before, after))

    def test_corruption_and_refusal(self):
        self.assertEqual(self.problems(('none', STALE, STALE),
                                       ('REQUIRE_COHERENT', STALE, REFUSED)), [])

    def test_nothing_tried(self):
        self.assertIn('demo: no mapping was tried', self.problems())

    def test_missing_row(self):
        self.assertEqual(len(self.problems(('none', STALE, STALE),
                                           ('REQUIRE_COHERENT', None, REFUSED))), 1)
        self.assertEqual(len(self.problems(('none', STALE, STALE),
                                           ('REQUIRE_COHERENT', STALE, None))), 1)

    def test_stock_that_never_bounced(self):
        rows = [('REQUIRE_COHERENT', COHERENT, COHERENT)]
        self.assertEqual(self.problems(*rows), ['demo: the stock kernel never bounced'])
        self.assertEqual(self.problems(*rows, expect='coherent'), [])

    def test_conclusion_counts_what_has_to_be_coherent(self):
        table = outcomes.rows(
            [outcome(LOW, 'none', STALE), outcome(LOW, 'REQUIRE_COHERENT', STALE),
             outcome(LOW, 'HMM', COHERENT), outcome(PEER, 'none', 'cannot be exported')],
            [outcome(LOW, 'none', STALE), outcome(LOW, 'REQUIRE_COHERENT', REFUSED),
             outcome(LOW, 'HMM', COHERENT), outcome(PEER, 'none', REVOKED),
             outcome('host bridge', 'none', UNUSED)])
        text = outcomes.conclusion([table])
        self.assertIn('Of 2 mappings that have to be coherent, the stock kernel gave 1 stale', text)
        self.assertIn('the series refused 1 and mapped 1 coherently', text)
        self.assertIn('1 importers had it until it was taken back, which the stock kernel can do '
                      'for 0.', text)
