# SPDX-License-Identifier: GPL-2.0
import re
import threading
import time
import types
import unittest.mock

from harness import build, mutants, mutate, project, report
from harness.tests import Case

SURVEY = {'times': {'quick': 100, 'slow': 4000},
          'counts': {'quick': {'1': 2, '2': 900000}, 'slow': {'1': 1, '3': 1}},
          'unusable': {}, 'expected': {}}


def file_of(number):
    return 'b.c' if number == 3 else 'a.c'


class Surveyed(Case):
    """Which suites judge a mutant, and for how long."""

    def test_the_quickest_suite_first(self):
        survey = mutate.Survey(None, SURVEY, file_of)
        self.assertEqual(survey.reaching(1), ['quick', 'slow'])
        self.assertEqual(survey.reaching(4), [])

    def test_suites_about_the_file_before_others(self):
        counts = {'quick': {'1': 1, '3': 1}, 'slow': {'3': 1}}
        survey = mutate.Survey(None, dict(SURVEY, times={'quick': 80, 'slow': 300}, counts=counts),
                               file_of)
        self.assertEqual(survey.reaching(3), ['slow', 'quick'])

    def test_suites_that_do_not_repeat_judge_nothing(self):
        survey = mutate.Survey(None, dict(SURVEY, unusable={'quick': 'fails'}), file_of)
        self.assertEqual(survey.reaching(1), ['slow'])

    def test_what_a_suite_did_not_notice_it_will_not_notice_again(self):
        survey = mutate.Survey(None, SURVEY, file_of)
        self.assertEqual(survey.reaching(1, survey.ways(['quick']).items()), ['slow'])

    def test_a_suite_that_does_something_else_may_notice(self):
        counts = dict(SURVEY['counts'], quick={'1': 2, '2': 900000, '3': 1})
        there = mutate.Survey(None, dict(SURVEY, counts=counts), file_of)
        survey = mutate.Survey(None, SURVEY, file_of)
        self.assertEqual(survey.reaching(1, there.ways(['quick', 'slow']).items()), ['quick'])

    def test_every_suite_has_its_turn(self):
        survey = mutate.Survey(None, SURVEY, file_of)
        with unittest.mock.patch.object(mutate, 'TRIES', 1):
            self.assertEqual(survey.reaching(1), ['quick'])
            self.assertEqual(survey.reaching(1, survey.ways(['quick']).items()), ['slow'])
            self.assertEqual(survey.reaching(1, survey.ways(['quick', 'slow']).items()), [])

    def test_a_line_that_was_cut(self):
        def converse(machine, kernel, archive, text, log, silence, hear):
            for line in ('survey a.b .', 'surveyed a.b 9', 'surveyed a.b 91 2 passed  .',
                         'reached a.b 7:3 12:4', 'reached a.b 7:3 12:41 13:2 .', 'ended .'):
                hear(f'[    1.000000] mutant: {line}')
        self.patch(mutate, 'converse', converse)
        described = mutate.make_survey(None, None, None, ['a.b'], None)
        self.assertEqual(described['counts'], {'a.b': {7: 3, 12: 41, 13: 2}})
        self.assertEqual(described['times'], {'a.b': 91})

    def test_expected_warnings(self):
        lines = ['------------[ cut here ]------------', 'exceeded 7 overlapping mappings of cacheline',
                 'WARNING: CPU: 0', '---[ end trace 0 ]---']
        expected = mutate.expected_of('dma_debug.another_case', lines)
        survey = mutate.Survey(None, dict(SURVEY, expected={'dma_debug.another_case': expected}),
                               file_of)
        self.assertEqual(survey.splat('dma_debug.another_case', lines), None)
        self.assertIn('passed without its warning', survey.splat('dma_debug.another_case', []))
        self.assertIn('exceeded 7', ' '.join(lines) if survey.splat('quick', lines) else '')

    def test_limit(self):
        survey = mutate.Survey(None, SURVEY, file_of)
        self.assertEqual(survey.limit(1), mutate.LEAST_LIMIT)
        self.assertEqual(survey.limit(2), 900000 * mutate.MORE_OFTEN)


class Warned(Case):
    """A WARN whose first line is not printed, as survey and verdicts see it."""

    HEAD = 'WARNING: kernel/dma/swiotlb.c:1548 at swiotlb_tbl_map_single+0x4e1/0x9a0, CPU#1: x/9'
    TRACE = ['Call Trace:', '---[ end trace 0000000000000000 ]---']
    EXPECTED = [{'suite': 'demo', 'case': 'warns', 'pattern': 'meant to happen', 'reason': 'test'}]

    def splats(self, *lines):
        self.patch(report, 'expected_splats', lambda: self.EXPECTED)
        return mutate.splats(list(lines), [('demo', 'warns')])

    def test_message_of_its_own(self):
        self.assertIsNone(self.splats('meant to happen', self.HEAD, *self.TRACE))
        self.assertIn('WARNING', self.splats('never mind', self.HEAD, *self.TRACE))

    def test_what_warns_says_enough(self):
        self.EXPECTED = [dict(self.EXPECTED[0], pattern='swiotlb_tbl_map_single')]
        self.assertIsNone(self.splats(self.HEAD, *self.TRACE))

    def test_each_is_one_of_its_own(self):
        self.assertIn('WARNING', self.splats('meant to happen', self.HEAD, *self.TRACE,
                                             self.HEAD, *self.TRACE))

    def test_end_of_another_one_is_no_message(self):
        lines = [self.HEAD, *self.TRACE, self.HEAD, *self.TRACE]
        self.assertEqual(mutate.with_cuts(lines), [mutate.CUT, *lines[:3], mutate.CUT, *lines[3:]])

    def test_first_line_that_is_printed(self):
        lines = [mutate.CUT, 'meant to happen', self.HEAD, *self.TRACE]
        self.assertEqual(mutate.with_cuts(lines), lines)
        self.assertIsNone(self.splats(*lines))

    def test_other_splats_are_not_part_of_it(self):
        self.assertIn('KASAN', self.splats('meant to happen', self.HEAD, *self.TRACE,
                                           'BUG: KASAN: use-after-free'))


class Told(Case):
    """What is made of what a machine says."""

    def setUp(self):
        super().setUp()
        self.killed, self.survived, self.equivalent = {}, [], None
        verdicts = types.SimpleNamespace(
            kill=lambda number, machine, suite, how, first: self.killed.update({number: (suite, how)}),
            is_doubtful=lambda number, first: number == self.equivalent and not first,
            survive=lambda number, *_: self.survived.append(number),
            known=lambda number: set())
        machine = types.SimpleNamespace(name='demo')
        self.hunt = types.SimpleNamespace(
            survey=mutate.Survey(machine, SURVEY, file_of), machine=machine, verdicts=verdicts,
            programs=False, kernel=None, archive=None, suspects=set(), stopped=False,
            group=lambda number: 'f' if number < 3 else 'g')

    def run_chunk(self, lines, how='end', chunk=((1, 6), (2, 6), (3, 6))):
        def converse(machine, kernel, archive, text, log, silence, hear):
            self.text = text
            for line in lines:
                whole = line.startswith('mutant: ') and not line.endswith('~')
                hear(f'[    1.000000] {line.rstrip("~")}' + (' .' if whole else ''))
            return how
        self.patch(mutate, 'converse', converse)
        return mutate.Chunk(self.hunt, chunk).run(None)

    def test_what_the_machine_is_asked(self):
        self.run_chunk(['mutant: ended'])
        self.assertEqual(self.text, 'group f\n'
                         f'mutant 1 {mutate.LEAST_LIMIT} 6 quick slow\n'
                         f'mutant 2 {900000 * mutate.MORE_OFTEN} 6 quick\n'
                         'group g\n'
                         f'mutant 3 {mutate.LEAST_LIMIT} 6 slow\n')

    def test_killed_and_survived(self):
        left = self.run_chunk(['mutant: run 1 quick', 'mutant: killed 1 quick 90 case: 2 arm',
                               'mutant: run 2 quick', 'mutant: passed 2 quick 90 ',
                               'mutant: survived 2', 'mutant: run 3 slow',
                               'mutant: killed 3 slow 10 does not end', 'mutant: clean',
                               'mutant: ended'])
        self.assertEqual(left, [])
        self.assertEqual(self.killed, {1: ('quick', 'case: 2 arm'), 3: ('slow', 'does not end')})
        self.assertEqual(self.survived, [2])

    def test_a_warning_kills(self):
        self.run_chunk(['mutant: run 1 quick', 'WARNING: CPU: 0 at x', 'mutant: passed 1 quick 9 ',
                        'mutant: survived 1', 'mutant: ended'])
        self.assertIn('WARNING: CPU: 0', self.killed[1][1])
        self.assertEqual(self.survived, [])

    def test_a_warning_alone_kills_before_a_panic(self):
        left = self.run_chunk(['mutant: run 1 quick', 'WARNING: CPU: 0 at x', 'mutant: passed 1 quick 9 ',
                               'mutant: survived 1', 'mutant: run 2 quick', 'Kernel panic - x'],
                              chunk=((1, 1), (2, 1), (3, 6)))
        self.assertEqual(sorted(self.killed), [1, 2])
        self.assertEqual(left, [(3, 6)])

    def test_a_panic_kills_and_the_others_go_on(self):
        left = self.run_chunk(['mutant: run 1 quick', 'Kernel panic - not syncing: x'])
        self.assertEqual(left, [(2, 6), (3, 6)])
        self.assertEqual(self.killed, {1: ('quick', 'Kernel panic - not syncing: x')})

    def test_a_second_hang_kills(self):
        for how in ('hangs', 'ends QEMU'):
            self.hunt.suspects.clear()
            self.killed.clear()
            left = self.run_chunk(['mutant: run 1 quick'], how)
            self.assertEqual(left, [(1, 1), (2, 6), (3, 6)])
            self.assertEqual(self.killed, {})
            left = self.run_chunk(['mutant: run 1 quick', 'mutant: passed 1 quick 9 ',
                                   'mutant: run 1 slow'], how, left)
            self.assertEqual(left, [(1, 1), (2, 6), (3, 6)])
            self.assertEqual(self.killed, {})
            left = self.run_chunk(['mutant: run 1 quick'], how, left)
            self.assertEqual(left, [(2, 6), (3, 6)])
            self.assertEqual(self.killed, {1: ('quick', how)})

    def test_lines_that_the_console_cuts(self):
        left = self.run_chunk(['mutant: run 1~', 'mutant: run 1 quick', 'mutant: passed 1 qu~',
                               'mutant: passed 1 quick 90 ', 'mutant: survived 1',
                               'mutant: run 2 quick', 'mutant: killed 2 qu~',
                               'mutant: killed 2 quick 90 case: 1', 'mutant: clean',
                               'mutant: run 3 slow', 'mutant: passed 3 slow 10 ',
                               'mutant: survived 3', 'mutant: end~', 'mutant: ended'])
        self.assertEqual(left, [])
        self.assertEqual(self.killed, {2: ('quick', 'case: 1')})
        self.assertEqual(self.survived, [1, 3])

    def test_what_is_stopped_is_no_verdict(self):
        self.hunt.stopped, self.hunt.suspects = True, {(1, 'quick')}
        self.assertEqual(self.run_chunk(['mutant: run 1 quick'], 'ends QEMU'), [])
        self.assertEqual(self.killed, {})

    def test_nothing_counts_before_the_suites_pass_again(self):
        left = self.run_chunk(['mutant: run 1 quick', 'mutant: killed 1 quick 90 case: 1',
                               'mutant: run 2 quick', 'mutant: killed 2 quick 90 case: 1',
                               'mutant: check quick', 'mutant: dirty quick case: 1',
                               'mutant: ended dirty'])
        self.assertEqual(self.killed, {})
        self.assertEqual(left, [(1, 1), (2, 1), (3, 6)])

    def test_a_panic_after_one_that_may_have_left_something(self):
        left = self.run_chunk(['mutant: run 1 quick', 'mutant: killed 1 quick 90 case: 1',
                               'mutant: run 2 quick', 'Kernel panic - not syncing: x'])
        self.assertEqual(self.killed, {})
        self.assertEqual(left, [(1, 1), (2, 1), (3, 6)])

    def test_one_alone_is_to_blame_if_nothing_more_is_heard(self):
        left = self.run_chunk(['mutant: run 1 quick', 'mutant: killed 1 quick 90 case: 1',
                               'mutant: check quick'], 'hangs')
        self.assertEqual(self.killed, {1: ('quick', 'case: 1')})
        self.assertEqual(left, [(2, 6), (3, 6)])

    def test_one_alone_is_to_blame_for_what_it_leaves(self):
        left = self.run_chunk(['mutant: run 1 quick', 'mutant: killed 1 quick 90 case: 1',
                               'mutant: check quick', 'mutant: dirty quick case: 1',
                               'mutant: ended dirty'], chunk=((1, 1), (2, 6)))
        self.assertEqual(self.killed, {1: ('quick', 'case: 1')})
        self.assertEqual(left, [(2, 6)])

    def test_one_alone_is_not_to_blame_for_what_may_have_been_there(self):
        left = self.run_chunk(['mutant: run 1 quick', 'mutant: passed 1 quick 90 ',
                               'mutant: survived 1', 'mutant: run 2 quick',
                               'mutant: killed 2 quick 90 case: 1', 'mutant: check quick',
                               'mutant: dirty quick case: 1', 'mutant: ended dirty'])
        self.assertEqual(self.killed, {})
        self.assertEqual(left, [(2, 1), (3, 6)])

    def test_what_others_may_have_left_something_for_is_first_in_its_boot(self):
        hunt = mutate.Hunt(self.hunt.survey, None, None, self.hunt.verdicts, False)
        hunt.queue.extend([(1, 1), (2, 1), (3, mutate.CHECK), (4, mutate.CHECK), (5, 1)])
        chunks = [hunt.next_chunk() for _ in range(4)]
        self.assertEqual([[number for number, _ in chunk] for chunk in chunks],
                         [[1], [2, 3, 4], [5], []])

    def test_a_reason_is_wrong_only_if_nothing_was_before_the_mutant(self):
        self.equivalent = 3
        said = ['mutant: run 1 quick', 'mutant: killed 1 quick 90 case: 1', 'mutant: run 3 slow',
                'mutant: killed 3 slow 10 case: 2', 'mutant: clean', 'mutant: ended']
        self.assertEqual(self.run_chunk(said, chunk=((1, 6), (3, 6))), [(3, 1)])
        self.assertEqual(sorted(self.killed), [1])
        self.assertEqual(self.run_chunk(said[2:], chunk=((3, 1),)), [])
        self.assertEqual(sorted(self.killed), [1, 3])

    def test_the_last_boots_have_less_to_do(self):
        hunt = mutate.Hunt(self.hunt.survey, None, None, self.hunt.verdicts, False)
        hunt.workers = 2
        hunt.queue.extend((number, mutate.CHECK) for number in range(200))
        sizes = [len(hunt.next_chunk()) for _ in range(8)]
        self.assertEqual(sizes[0], mutate.AT_ONCE)
        self.assertEqual(sizes, sorted(sizes, reverse=True))
        self.assertIn(sizes[-1], range(mutate.AT_LEAST, mutate.AT_ONCE // 2))

    def test_what_a_boot_leaves_is_for_whoever_is_free(self):
        begun, left = threading.Event(), [(1, 1), (2, 1)]
        together = threading.Barrier(2, timeout=10)

        class Chunk:
            def __init__(self, *_):
                pass

            def run(self, log):
                if not begun.is_set():
                    begun.set()
                    # The other worker has nothing to do by now.
                    time.sleep(0.1)
                    return left
                # Each has one, or this takes too long.
                together.wait()
                return []

        self.patch(mutate, 'Chunk', Chunk)
        base = types.SimpleNamespace(name='demo')
        hunt = mutate.Hunt(self.hunt.survey, types.SimpleNamespace(base=base), None,
                           self.hunt.verdicts, False)
        hunt.run([1, 2], 2)
        self.assertEqual(hunt.boots, 3)

    def test_a_worker_that_fails_stops_the_others(self):
        running, ended = threading.Event(), threading.Event()

        class Chunk:
            def __init__(self, hunt, chunk):
                self.number = chunk[0][0]

            def run(self, log):
                if self.number == 1:
                    running.wait(10)
                    raise project.Failure('demo did not begin')
                running.set()
                ended.wait(2)
                return []

        self.patch(mutate, 'Chunk', Chunk)
        self.patch(mutate.boot, 'end_all', ended.set)
        base = types.SimpleNamespace(name='demo')
        hunt = mutate.Hunt(self.hunt.survey, types.SimpleNamespace(base=base), None,
                           self.hunt.verdicts, False)
        self.fails('demo did not begin', hunt.run, range(1, 100), 2)
        self.assertEqual(hunt.boots, 2)
        self.assertTrue(ended.is_set())

    def test_a_machine_that_does_not_begin(self):
        self.fails('demo did not begin', self.run_chunk, ['Kernel panic'])


MUTANT = mutants.Mutant('a.c', 'f', 3, 'without g();', (0, 4))


class Kept(Case):
    """Verdicts of an earlier run."""

    CONDITIONS = 'warm and dry'
    machine = 'xen'

    def verdicts(self, *entries):
        self.patch(mutate, 'CACHE', self.scratch)
        self.patch(mutate.Verdicts, 'conditions', lambda *_: self.CONDITIONS)
        (self.scratch / 'mutate').mkdir(exist_ok=True)
        mutated = types.SimpleNamespace(
            base=types.SimpleNamespace(new_files=lambda: []), digest='d', every=[MUTANT],
            reasons=types.SimpleNamespace(is_listed=lambda mutant: self.listed))
        before = mutate.Verdicts(mutated)
        before.path.unlink(missing_ok=True)
        for first in entries:
            before.kill(1, types.SimpleNamespace(name=self.machine), 'quick', 'case: 1', first)
        self.mutated = mutated
        return mutate.Verdicts(mutated)

    def test_killed(self):
        self.listed = False
        self.assertEqual(list(self.verdicts(False).killed), [MUTANT])
        self.assertEqual(list(self.verdicts().killed), [])

    def test_killed_on_a_machine_that_is_gone(self):
        self.listed, self.machine = False, 'vax'
        self.assertEqual(list(self.verdicts(False).killed), [])

    def test_killed_on_a_machine_that_has_changed(self):
        self.listed = False
        self.verdicts(False)
        self.CONDITIONS = 'cold and wet'
        self.assertEqual(list(mutate.Verdicts(self.mutated).killed), [])

    def test_killed_for_all_that_a_reason_says(self):
        self.listed = True
        self.assertEqual(list(self.verdicts(False).killed), [])
        self.assertEqual(list(self.verdicts(False, True).killed), [MUTANT])


class Reasoned(Case):
    """mutants.toml has to be true."""

    def reasons(self, text):
        (self.scratch / 'mutants.toml').write_text(text)
        return mutate.Reasons(types.SimpleNamespace(dir=self.scratch))

    EQUIVALENT = '[[equivalent]]\nfile = "a.c"\nfunction = "f"\nmutants = ["without g();"]\nreason = "r"\n'

    def test_reasons(self):
        reasons = self.reasons(self.EQUIVALENT)
        self.assertTrue(reasons.is_listed(MUTANT))
        self.assertFalse(reasons.is_listed(MUTANT._replace(function='h')))
        self.assertEqual(reasons.out_of_date([MUTANT], {}, set()), [])

    def test_no_reason(self):
        self.fails('has no reason', self.reasons, self.EQUIVALENT.replace('reason = "r"\n', ''))

    def test_killed_or_gone(self):
        reasons = self.reasons(self.EQUIVALENT)
        self.assertIn('is killed', reasons.out_of_date([MUTANT], {MUTANT: 1}, set())[0])
        self.assertIn('no such mutant', reasons.out_of_date([], {}, set())[0])

    def test_code_that_is_run_after_all(self):
        reasons = self.reasons('[[elsewhere]]\nfiles = ["a.*"]\nreason = "r"\n')
        self.assertTrue(reasons.whole_file('a.c'))
        self.assertEqual(reasons.out_of_date([MUTANT], {}, set()), [])
        self.assertIn('a test does get to', reasons.out_of_date([MUTANT], {}, {MUTANT})[0])


class Filed(Case):
    """What the verdicts of a kernel are filed under."""

    TEXT = '/* one */\nint f(int p)\n{\n\treturn p + 1;\n}\n'

    def digest(self, text, other='int g;\n', name='b.c', lines=range(1, 20)):
        mutated = mutate.Mutated.__new__(mutate.Mutated)
        mutated.reasons = types.SimpleNamespace(whole_file=lambda name: name[0] == 'b')
        mutated.writers = [mutants.Writer(name, text, set(lines)).read()
                           for name, text in (('a.c', text), (name, other))]
        return mutated.kernel_digest()

    def test_what_is_compiled(self):
        self.assertNotEqual(self.digest(self.TEXT), self.digest(self.TEXT.replace('p + 1', 'p')))
        self.assertNotEqual(self.digest(self.TEXT), self.digest('#define p 1\n' + self.TEXT))

    def test_which_of_two_the_series_adds(self):
        text = 'void f(void)\n{\n\tg();\n\tg();\n}\n'
        self.assertNotEqual(self.digest(text, lines=[3]), self.digest(text, lines=[4]))

    def test_what_is_only_said(self):
        self.assertEqual(self.digest(self.TEXT), self.digest(self.TEXT.replace('one', 'more\n * of it')))

    def test_what_no_machine_compiles(self):
        self.assertEqual(self.digest(self.TEXT), self.digest(self.TEXT, 'int g(void) { return 2; }\n'))

    def test_header_whose_mutants_no_machine_runs(self):
        self.assertNotEqual(self.digest(self.TEXT, '#define G 1\n', 'b.h'),
                            self.digest(self.TEXT, '#define G 2\n', 'b.h'))


class Refused(Case):
    """A compiler decides which mutants there are."""

    def test_the_mutant_at_a_place(self):
        text = 'int f(int *p)\n{\n\treturn g(p - 1) + (1 << p[0]);\n}\n'
        writer = mutants.Writer('a.c', text, {1, 2, 3, 4}).read()
        written, places = writer.written(1)
        mutated = mutate.Mutated.__new__(mutate.Mutated)
        mutated.places = {'a.c': (written, {writer.mutants[n]: place for n, place in places.items()})}
        mutated.refused, mutated.refused_file = set(), self.scratch / 'cache' / 'refused'
        mutated.number = {mutant: n for n, mutant in enumerate(writer.mutants, 1)}
        line = written.splitlines()[3]
        column = line.index('MUTANT_OP(2, ') + 1
        self.assertEqual(mutated.refuse(f'../a.c:4:{column + 3}: error: no\n'
                                        f'../a.c:4:{column}: note: in expansion of macro \'x\'\n'), 1)
        self.assertEqual({mutant.what for mutant in mutated.refused},
                         {writer.mutants[1].what})
        self.assertEqual(mutated.refuse('b.c:4:1: error: no\n'), 0)


class Chosen(Case):
    def test_only_code_of_the_kernel(self):
        self.assertTrue(project.is_kernel_code('kernel/dma/direct.h'))
        for name in ('kernel/dma/tests/x_kunit.c', 'tools/testing/x.c', 'include/kunit/dma.h',
                     'kernel/dma/Kconfig'):
            self.assertFalse(project.is_kernel_code(name))

    def test_every_machine_is_in_the_order(self):
        self.assertEqual(sorted(mutate.ORDER), project.default_machine_names())

    def test_suites_and_programs_by_case(self):
        run = types.SimpleNamespace(base=project.Base(project.base_names()[0]))
        for programs, pattern in ((False, r'^\w+\.\w+$'), (True, r'^/tests/\w+:-t:\w+$')):
            names = mutate.Run.suites(run, 'x86_64', programs)
            self.assertTrue(names)
            self.assertEqual(sorted(set(names)), sorted(names))
            for name in names:
                self.assertRegex(name, pattern)
                # What the runner has room for.
                self.assertLess(len(name), 200)


class Programs(Case):
    def test_what_they_include_makes_them_others(self):
        for source in (build.INIT, mutate.RUNNER):
            headers = re.findall(r'^#include "(.+)"$', source.read_text(), re.M)
            self.assertTrue(headers)
            for name in headers:
                self.assertIn((source.parent / name).read_text(), build.program_text(source))
