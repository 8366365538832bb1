# SPDX-License-Identifier: GPL-2.0
import types

from harness import assemble, boot, build, project, report
from harness.tests import Case

SUITE = '''
static struct kunit_case demo_cases[] = {
	KUNIT_CASE(works),
	KUNIT_CASE_PARAM(works_with, gen),
	{}
};
static struct kunit_suite demo_suite = {
	.name = "demo",
};
'''

SELFTEST = '''
TEST_F(thing, does)
{
}
TEST_HARNESS_MAIN
'''

KERNEL = '''
KTAP version 1
1..1
    KTAP version 1
    # Subtest: demo
    1..2
    ok 1 works
        KTAP version 1
        # Subtest: works_with
        ok 1 one
        ok 2 two # SKIP needs more
    # works_with: pass:1 fail:0 skip:1 total:2
    ok 2 works_with
# demo: pass:2 fail:0 skip:0 total:2
ok 1 demo
'''

USER = '''
harness: user space
harness: begin /tests/thing
TAP version 13
1..2
# Starting 2 tests from 2 test cases.
#  RUN           thing.a.does ...
# outcome: mapping="one page" memory="low" attribute=none result="mapped, coherent"
# outcome: mapping="one page" mem
#            OK  thing.a.does
ok 1 thing.a.does
ok 2 thing.b.does
# Totals: pass:2 fail:0 xfail:0 xpass:0 skip:0 error:0
harness: end /tests/thing exit 0
harness: done
'''

WARN = '''------------[ cut here ]------------
this is meant to happen
WARNING: CPU: 0 PID: 1 at lib/demo.c:1 demo+0x1/0x2
Call Trace:
---[ end trace 0000000000000000 ]---
'''

EXPECTED = [{'suite': 'demo', 'case': 'works', 'pattern': 'meant to happen', 'reason': 'a test'}]


class Reading(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Outside of setUp(), and so from the user's cache: the parser is the kernel's.
        base = project.Base('6.18')
        cls.source = assemble.import_release(base.version, base.sources)

    def setUp(self):
        super().setUp()
        self.patch(report, 'expected_splats', lambda: [])
        self.base = types.SimpleNamespace(root=self.scratch, new_files=lambda: [
            'lib/tests/demo_kunit.c', 'tools/testing/selftests/dma/thing.c', 'include/demo.h'])
        for name, text in zip(self.base.new_files(), (SUITE, SELFTEST, '')):
            (self.scratch / name).parent.mkdir(parents=True, exist_ok=True)
            (self.scratch / name).write_text(text)

    def report(self, *parts, wrong=None, pattern=None):
        log = self.scratch / 'log'
        stamped = ''.join(f'[    1.{number:06}] {line}\n' for number, line in
                          enumerate(line for part in parts for line in part.splitlines() if line))
        log.write_text('SeaBIOS\n' + stamped)
        return report.Report(boot.Boot(log, wrong), self.source,
                             report.Expectation(self.base, pattern))

    def assert_failure(self, found, words):
        self.assertIn(words, '\n'.join(found.failures()))

    def test_good_log(self):
        found = self.report(KERNEL, USER)
        self.assertEqual(found.failures(), [])
        self.assertEqual(found.count('demo'), [2, 0, 1])
        self.assertEqual(found.count('thing'), [2, 0, 0])
        self.assertEqual(found.outcomes, [{'mapping': 'one page', 'memory': 'low', 'attribute': 'none',
                                           'result': 'mapped, coherent'}])

    def test_failed_case(self):
        found = self.report(KERNEL.replace('ok 1 one', 'not ok 1 one'), USER)
        self.assertEqual(found.count('demo'), [1, 1, 1])
        self.assert_failure(found, 'demo.works_with.one')

    def test_failure_that_a_skip_covers_up(self):
        line = '        # works_with: EXPECTATION FAILED at lib/demo.c:1\n        ok 2 two'
        found = self.report(KERNEL.replace('        ok 2 two', line), USER)
        self.assert_failure(found, 'demo.works_with.two')
        self.assertEqual(found.count('demo'), [2, 1, 0])

    def test_failed_selftest(self):
        found = self.report(KERNEL, USER.replace('ok 2 thing', 'not ok 2 thing'))
        self.assertEqual(found.count('thing'), [1, 1, 0])

    def test_no_ktap(self):
        self.assert_failure(self.report(USER), 'KUnit: there is no KTAP output')

    def test_truncated_ktap(self):
        found = self.report(KERNEL[:KERNEL.index('        ok 2 two')], USER)
        self.assert_failure(found, 'KTAP output is not complete')

    def test_log_that_ends_in_the_kernel(self):
        found = self.report(KERNEL[:KERNEL.index('        ok 2 two')])
        self.assert_failure(found, 'did not get to user space')

    def test_log_that_ends_in_a_selftest(self):
        found = self.report(KERNEL, USER[:USER.index('harness: end')])
        self.assert_failure(found, 'ended before all tests had run')

    def test_failed_case_whose_parameters_passed(self):
        found = self.report(KERNEL.replace('    ok 2 works_with', '    not ok 2 works_with'), USER)
        self.assert_failure(found, 'demo.works_with')
        self.assertEqual(found.count('demo'), [2, 1, 1])

    def test_failed_suite_whose_cases_passed(self):
        found = self.report(KERNEL.replace('ok 1 demo', 'not ok 1 demo'), USER)
        self.assertEqual(found.count('demo'), [2, 1, 1])

    def test_case_of_the_source_missing_in_the_log(self):
        found = self.report(KERNEL.replace('1..2', '1..1', 1).replace('    ok 1 works\n', '')
                            .replace('ok 2 works_with', 'ok 1 works_with'), USER)
        self.assert_failure(found, 'demo.works did not run')

    def test_selftest_that_did_not_run(self):
        self.assert_failure(self.report(KERNEL, 'harness: user space\nharness: done\n'),
                            'thing did not run')

    def test_selftest_that_crashed(self):
        found = self.report(KERNEL, USER.replace('exit 0', 'signal 11'))
        self.assert_failure(found, 'thing ended with signal 11')

    def test_timeout(self):
        self.assert_failure(self.report(KERNEL, USER, wrong='did not power off'),
                            'did not power off')

    def test_machine_that_did_not_start_says_only_why(self):
        found = self.report('', wrong='qemu ended with status 1: no memory')
        self.assertEqual(found.problems[:1], ['qemu ended with status 1: no memory'])
        self.assertEqual(len(found.problems), 2)

    def test_unexpected_warning(self):
        self.assert_failure(self.report(KERNEL, WARN, USER),
                            'unexpected in the log: [    1.0000')

    def test_every_kind_of_splat(self):
        for line in ('BUG: KASAN: use-after-free', 'kmemleak: 2 new suspected memory leaks',
                     'harness: kmemleak: unreferenced object 0xffff (size 32):',
                     'DMA-API: pci 0000:00:01.0: mapping error',
                     'Unable to handle kernel paging request', 'INFO: task init:1 blocked',
                     'Kernel panic - not syncing', 'harness: load /modules/x.ko: No such file',
                     'BUG: sleeping function called from invalid context',
                     'DMAR: [DMA Write NO_PASID] Request device [00:01.0] fault addr 0x1000',
                     '(XEN) Panic on CPU 0:', '(XEN) Hardware Dom0 crashed: rebooting machine'):
            self.assert_failure(self.report(KERNEL, line, USER), line)

    def test_every_report_of_a_sanitizer(self):
        for line in ('BUG: KASAN: slab-out-of-bounds in dma_direct_map_sg+0x1a0/0x2c0',
                     'BUG: KCSAN: data-race in dma_buf_attach / dma_buf_detach',
                     'BUG: KCSAN: assert: race in demo+0x10/0x20',
                     'kcsan: selftest: test_barrier failed',
                     'UBSAN: shift-out-of-bounds in ../kernel/dma/swiotlb.c:700:24',
                     'UBSAN: array-index-out-of-bounds in ../mm/hmm.c:1:2',
                     'WARNING: possible circular locking dependency detected',
                     'WARNING: bad unlock balance detected!',
                     'WARNING: suspicious RCU usage', '[ BUG: Invalid wait context ]',
                     'BUG: MAX_LOCKDEP_CHAINS too low!', 'INFO: lockdep is turned off.',
                     'INFO: trying to register non-static key.', 'harness: lockdep is turned off',
                     'harness: dma-debug is turned off',
                     'kmemleak: 1 new suspected memory leaks (see /sys/kernel/debug/kmemleak)',
                     'kmemleak: Kernel memory leak detector disabled',
                     'kmemleak: Memory pool empty, consider increasing',
                     'pagealloc: memory corruption', 'pagealloc: single bit error',
                     'BUG kmalloc-64 (Tainted: G                 N ): Poison overwritten',
                     'BUG dma-buf (Not tainted): Right Redzone overwritten',
                     'WARNING: CPU: 1 PID: 2 at lib/debugobjects.c:612 debug_print_object+0x1/0x2',
                     'ODEBUG: object 000000001 is on stack 00000002, but NOT annotated.',
                     'ODEBUG: Out of memory. ODEBUG disabled',
                     'refcount_t: underflow; use-after-free.',
                     'list_del corruption. prev->next should be ffff, but was 0',
                     'usercopy: Kernel memory exposure attempt detected from SLUB object',
                     'BUG: scheduling while atomic: kunit_try_catch/42/0x00000002',
                     'BUG: sleeping function called from invalid context at mm/slab.h:1'):
            self.assert_failure(self.report(KERNEL, line, USER), line)
            self.assert_failure(self.report(KERNEL, USER.replace('harness: done', line
                                                                 + '\nharness: done')), line)

    def test_sanitizers_that_say_that_they_are_there(self):
        line = ('kasan: KernelAddressSanitizer initialized (generic)\n'
                'kcsan: enabled early\nkcsan: strict mode configured\n'
                'kcsan: selftest: 3/3 tests passed\n'
                'Lock dependency validator: Copyright (c) 2006 Red Hat, Inc., Ingo Molnar\n'
                'page_owner is disabled\n'
                'mem auto-init: stack:off, heap alloc:off, heap free:off')
        self.assertEqual(self.report(line, KERNEL, USER).failures(), [])

    def test_harmless_lines(self):
        line = ('DMAR: Host address width 39\nDMAR: default domain\n'
                'DMA-API: preallocated 65536 debug entries\nDMA-API: debugging enabled by kernel config\n'
                'DMA-API: dma_debug_entry pool grown to 131072 (200%)\n'
                'kmemleak: Kernel memory leak detector initialized (mem pool available: 15)\n'
                'kmemleak: Automatic memory scanning thread started')
        self.assertEqual(self.report(line, KERNEL, USER).failures(), [])

    def test_expected_warning(self):
        self.patch(report, 'expected_splats', lambda: EXPECTED)
        self.assertEqual(self.report(WARN, KERNEL, USER).failures(), [])

    def test_expected_warning_that_does_not_come(self):
        self.patch(report, 'expected_splats', lambda: EXPECTED)
        self.assert_failure(self.report(KERNEL, USER), 'demo.works passed without its warning')

    def test_expected_warning_that_comes_twice(self):
        self.patch(report, 'expected_splats', lambda: EXPECTED)
        self.assert_failure(self.report(WARN, WARN, KERNEL, USER), 'unexpected in the log')

    def test_expected_warning_of_a_skipped_case(self):
        self.patch(report, 'expected_splats', lambda: EXPECTED)
        skipped = KERNEL.replace('ok 1 works\n', 'ok 1 works # SKIP no\n')
        self.assertEqual(self.report(skipped, USER).failures(), [])
        self.assert_failure(self.report(WARN, skipped, USER), 'unexpected in the log')

    def test_skipped_everywhere(self):
        here = self.report(KERNEL, USER)
        there = self.report(KERNEL.replace('ok 2 two # SKIP needs more', 'ok 2 two'), USER)
        self.assertEqual(report.skipped_everywhere([here]), ['demo.works_with.two'])
        self.assertEqual(report.skipped_everywhere([here, there]), [])

    def test_suite_narrows_what_is_expected(self):
        self.assertEqual(self.report(KERNEL, USER, pattern='thing').count('demo'), [0, 0, 0])
        wide = report.Expectation(self.base, 'de*')
        self.assertEqual((list(wide.suites), wide.programs), (['demo'], {}))
        narrow = report.Expectation(self.base, 'demo.works_*')
        self.assertEqual((narrow.suites, narrow.programs), ({'demo': {'works_with'}}, {}))
        for unknown in ('nonesuch', 'demo.nonesuch', 'thing.does'):
            self.fails('choose one of demo, thing', report.Expectation, self.base, unknown)


class Sources(Case):
    """The expectations are read from the sources that are really there."""

    def test_every_suite_is_found(self):
        for base in map(project.Base, project.base_names()):
            expected = report.Expectation(base)
            sources = [file for file in base.new_files() if file.endswith('_kunit.c')]
            self.assertEqual(len(expected.suites), len(sources))
            self.assertTrue(all(expected.suites.values()))
            self.assertIn('dma_coherent', expected.programs)

    def test_only_programs_that_tell_of_mappings_are_for_the_table(self):
        expected = report.Expectation(project.Base('6.18'))
        self.assertRegex(expected.arguments(), r'\bdma_misuse\b')
        self.assertNotIn(':', expected.arguments())
        expected.only_telling()
        self.assertEqual(expected.suites, {})
        self.assertEqual(set(expected.programs), {'dma_coherent', 'dma_mirror', 'dma_revoke'})
        self.assertIn('dma_mirror:-t:coherent_where_no_memory_would_bounce:-t:refused_where_',
                      expected.arguments())

    def test_test_tells_by_itself_or_by_a_function(self):
        source = '''static void say(int what)
{
	print_outcome(what);
}
static bool say_more(int what)
{
	say(what);
}
static void silent(void)
{
}
TEST_F(some, tells)
{
	print_outcome(1);
}
TEST_F(some, has_it_told)
{
	if (say_more(1))
		return;
}
TEST(tells_nothing)
{
	silent();
}
'''
        self.assertEqual(report.telling_tests(source), {'tells', 'has_it_told'})

    def test_suite_for_one_architecture_is_expected_there_only(self):
        base = project.Base('6.18')
        self.assertIn('swiotlb_xen', report.Expectation(base, arch='x86_64').suites)
        self.assertNotIn('swiotlb_xen', report.Expectation(base, arch='arm64').suites)
        self.assertIn('dma_direct', report.Expectation(base, arch='arm64').suites)

    def test_suite_that_an_architecture_cannot_have_is_not_expected(self):
        for base in map(project.Base, project.base_names()):
            self.assertNotIn('p2pdma', report.Expectation(base, arch='i386').suites)
            self.assertIn('dma_iommu', report.Expectation(base, arch='i386').suites)
            self.assertNotIn('dma_iommu', report.Expectation(base, arch='arm').suites)

    def test_every_suite_has_an_option(self):
        for base in map(project.Base, project.base_names()):
            options = [report.Expectation.option(base, path) for path in base.new_files()
                       if path.endswith('_kunit.c')]
            self.assertNotIn(None, options)
            self.assertEqual(len(set(options)), len(options))

    def test_every_expected_splat_has_its_case_and_reason(self):
        suites = {}
        for base in map(project.Base, project.base_names()):
            suites |= report.Expectation(base).suites
        for entry in report.expected_splats():
            self.assertIn(entry['case'], suites[entry['suite']])
            self.assertTrue(entry['reason'])

    def test_every_machine_has_its_architecture(self):
        for machine in map(project.Machine, project.machine_names()):
            self.assertIn(machine.arch, build.ARCH)
            self.assertTrue((build.KCONFIG / f'{machine.arch}.config').exists())
