# SPDX-License-Identifier: GPL-2.0
import os
import types

from harness import bench, boot, cost, project, ranges
from harness.tests import Case, KernelCase

LOG = '''
[    0.9] dma_bench: loading out-of-tree module taints kernel.
[    1.0] edu 0000:00:01.0: bench: device coherent direct
[    1.1] edu 0000:00:01.0: bench: nothing 0 none map 10 unmap 20
[    1.2] edu 0000:00:01.0: bench: dma_map_phys 1 none map 60 unmap 50
[    1.3] edu 0000:00:01.0: bench: dma_map_phys 1 attribute map 110 unmap 70
[    1.4] edu 0000:00:01.0: bench: done
'''

RANGES_LOG = '''
[    0.9] dma_buf_bench: loading out-of-tree module taints kernel.
[    1.0] dma_buf_bench 0000:00:01.0: phys_vec: route bus
''' + ''.join(f'''
[    1.1] dma_buf_bench 0000:00:01.0: phys_vec: {n} map {90 + 20 * n} unmap {9 + n} bytes {4 * n} tables 0
''' for n in ranges.NUMBERS) + '''
[    1.2] dma_buf_bench: phys_vec: done
'''

SIZES = '''vmlinux  :
section      size   addr
.text        1000   4096
.init.text     20   8192
.text_not       7   9000
.rodata       500   9192
Total        1527


kernel/a.o   (ex vmlinux.a):
section           size   addr
.text               10      0
.text.unlikely       5      0
.data                9      0
Total               24
'''

PATCH = '''From 0 Mon Sep 17 00:00:00 2001
Subject: [PATCH] dma: a change

Why it is made.
---
diff --git a/kernel/dma/direct.h b/kernel/dma/direct.h
index 1111..2222 100644
--- a/kernel/dma/direct.h
+++ b/kernel/dma/direct.h
@@ -1,2 +1,2 @@ where
-old
+new
diff --git a/Documentation/dma.rst b/Documentation/dma.rst
index 3333..4444 100644
--- a/Documentation/dma.rst
+++ b/Documentation/dma.rst
@@ -1 +1 @@
-text
+words
'''


def row(stock, series, operation='map', attribute=9):
    return cost.Row('demo', 'dma_map_sg', 16, operation, stock, series, attribute)


class Log(Case):
    def parse(self, text, path='direct'):
        return cost.parse(text.splitlines(), 'stock on demo', path)

    def test_counts_are_per_operation_without_the_counting(self):
        self.assertEqual(self.parse(LOG), {
            ('dma_map_phys', 1, 'map'): {'none': 50, 'attribute': 100},
            ('dma_map_phys', 1, 'unmap'): {'none': 30, 'attribute': 50}})

    def test_carriage_returns_do_not_matter(self):
        self.assertEqual(self.parse(LOG.replace('\n', '\r\n')), self.parse(LOG))

    def test_log_that_ends_early(self):
        self.fails('stock on demo: the benchmark did not run to its end', self.parse,
                   LOG.replace('bench: done', ''))

    def test_log_without_the_cost_of_counting(self):
        self.fails('does not say what counting costs', self.parse,
                   LOG.replace('nothing', 'something'))

    def test_error_of_the_module(self):
        self.fails('stock on demo: error mappings bounce', self.parse,
                   LOG.replace('done', 'error mappings bounce'))

    def test_rounds_that_differ(self):
        words = 'error dma_map_sg 1 none differs from round to round'
        self.fails(f'stock on demo: {words}', self.parse, LOG.replace('done', words))

    def test_half_a_measurement(self):
        self.fails('dma_map_phys was not measured with and without the attribute', self.parse,
                   LOG.replace('dma_map_phys 1 attribute', 'dma_map_phys 1 none'))

    def test_device_that_is_not_coherent(self):
        self.fails('the device is non-coherent and direct, it has to be coherent and direct',
                   self.parse, LOG.replace('coherent', 'non-coherent'))

    def test_iommu_that_does_not_translate(self):
        self.fails('the device is coherent and direct, it has to be coherent and iommu',
                   self.parse, LOG, 'iommu')

    def test_no_device(self):
        self.fails('did not run', self.parse, '')

    def test_rows_pair_both_kernels(self):
        stock, series = self.parse(LOG), self.parse(LOG.replace('map 60', 'map 62'))
        self.assertEqual(cost.compare('demo', stock, series),
                         [('demo', 'dma_map_phys', 1, 'map', 50, 52, 100),
                          ('demo', 'dma_map_phys', 1, 'unmap', 30, 30, 50)])

    def test_kernels_that_measured_different_things(self):
        series = self.parse(LOG)
        del series['dma_map_phys', 1, 'map']
        self.fails('demo: the two kernels did not measure the same', cost.compare, 'demo',
                   self.parse(LOG), series)
        self.fails('did not measure the same', cost.compare, 'demo', {}, {})


class Verdict(Case):
    def test_equal_and_fewer_instructions_meet_the_bound(self):
        sentence, met = cost.verdict([row(10, 10), row(10, 8)])
        self.assertTrue(met)
        self.assertIn('none of 2 operations on demo executes an instruction more', sentence)

    def test_a_single_instruction_more_does_not(self):
        sentence, met = cost.verdict([row(10, 11), row(10, 8), row(10, 12, 'unmap')])
        self.assertFalse(met)
        self.assertIn('2 of 3 operations execute more', sentence)
        self.assertIn('unmap of dma_map_sg, 16 entries on demo 2 more', sentence)

    def test_the_attribute_may_cost(self):
        self.assertTrue(cost.verdict([row(10, 10, attribute=99)])[1])

    def test_nothing_measured_meets_no_bound(self):
        self.assertFalse(cost.verdict([])[1])

    def test_price_of_a_fix_is_named(self):
        fix = row(10, 13, 'unmap')._replace(interface='dma_iova_alloc_link')
        sentence, met = cost.verdict([row(10, 10), fix])
        self.assertTrue(met)
        self.assertIn('now frees the whole range, for up to 3 instructions', sentence)
        self.assertFalse(cost.verdict([fix, row(10, 11)])[1])
        self.assertFalse(cost.verdict([fix._replace(series=14)])[1])


def ranges_row(number, machine='demo', **costs):
    return ranges.Row(machine, 'bus', number, **{'map': 0, 'unmap': 0, 'bytes': 0, 'tables': 0}
                      | costs)


class RangesLog(Case):
    def parse(self, text, route='bus'):
        return ranges.parse(text.splitlines(), 'demo', route)

    def test_one_row_per_number_of_ranges(self):
        rows = self.parse(RANGES_LOG)
        self.assertEqual(tuple(row.ranges for row in rows), ranges.NUMBERS)
        self.assertEqual(rows[2], ('demo', 'bus', 100, 2090, 109, 400, 0))
        backwards = '\n'.join(reversed(RANGES_LOG.splitlines()))
        self.assertEqual(self.parse(backwards), rows)

    def test_carriage_returns_do_not_matter(self):
        self.assertEqual(self.parse(RANGES_LOG.replace('\n', '\r\n')), self.parse(RANGES_LOG))

    def test_what_the_other_benchmark_prints_does_not_matter(self):
        self.assertEqual(self.parse(LOG + RANGES_LOG), self.parse(RANGES_LOG))
        self.assertEqual(cost.parse((LOG + RANGES_LOG).splitlines(), 'here', 'direct'),
                         cost.parse(LOG.splitlines(), 'here', 'direct'))

    def test_log_that_ends_early(self):
        self.fails('device memory on demo: the benchmark did not run to its end', self.parse,
                   RANGES_LOG.replace('phys_vec: done', ''))
        self.fails('did not run', self.parse, '')

    def test_error_of_the_module(self):
        self.fails('device memory on demo: error -12', self.parse,
                   RANGES_LOG.replace('done', 'error -12'))

    def test_other_route(self):
        self.fails('the route is bus, it has to be iommu', self.parse, RANGES_LOG, 'iommu')
        self.fails('the route is None', self.parse, RANGES_LOG.replace('phys_vec: route', ''))

    def test_number_that_was_not_measured(self):
        for what in ('1000 map', '100000 map'):
            lost = [line for line in RANGES_LOG.splitlines() if f': {what} ' not in line]
            self.fails('these numbers of ranges were not measured: 1, 10, 100, 1000', self.parse,
                       '\n'.join(lost))


class RangesVerdict(Case):
    def judge(self, *costs, of='map'):
        return ranges.verdict([ranges_row(number, **{of: each * number})
                               for number, each in zip(ranges.NUMBERS, costs)])

    def test_flat(self):
        sentence, met = self.judge(900, 90, 10, 10, 10, 10)
        self.assertTrue(met)
        self.assertIn('is flat on demo, up to 100000 ranges: from 100 ranges on, a range costs at '
                      'most 5 % or one instruction or byte more than it does with any', sentence)

    def test_falling_is_flat(self):
        self.assertTrue(self.judge(900, 90, 50, 40, 30, 20)[1])

    def test_tolerance(self):
        for of in ranges.COSTS:
            for each, last, met in ((100, 105, True), (100, 106, False), (2, 3, True), (2, 4, False),
                                    (0, 1, True), (0, 2, False)):
                costs = 900, 90, each, each, each, last
                self.assertEqual(self.judge(*costs, of=of)[1], met, (of, costs))

    def test_growth_is_named(self):
        sentence, met = self.judge(900, 90, 100, 100, 102, 100, of='unmap')
        self.assertTrue(met)
        self.assertIn('The closest to growing: instructions of dma_buf_free_sgt() on demo are '
                      '100.0 per range with 100 ranges and 102.0 with 10000.', sentence)
        sentence, met = self.judge(900, 90, 100, 100, 120, 110)
        self.assertFalse(met)
        self.assertIn('is not flat (from 100 ranges on', sentence)
        self.assertIn('are 100.0 per range with 100 ranges and 120.0 with 10000.', sentence)

    def test_what_is_saved_by_fewer_fixed_costs_hides_no_growth(self):
        self.assertFalse(self.judge(900, 90, 100, 60, 65, 70)[1])

    def test_few_ranges_may_cost_what_they_want(self):
        self.assertTrue(self.judge(1, 2, 100, 100, 100, 100)[1])

    def test_every_machine_is_judged(self):
        flat = [ranges_row(number, map=number) for number in ranges.NUMBERS]
        steep = [ranges_row(number, 'other', map=number ** 2) for number in ranges.NUMBERS]
        self.assertTrue(ranges.verdict(flat)[1])
        for rows in (flat + steep, steep + flat):
            sentence, met = ranges.verdict(rows)
            self.assertFalse(met)
            self.assertIn('on other', sentence)

    def test_nothing_measured_is_not_flat(self):
        self.assertEqual(ranges.verdict([])[1], False)
        self.assertIn('nothing was measured', ranges.verdict([])[0])
        self.assertFalse(self.judge(900, 90, 100)[1])


class RangesTables(Case):
    def test_one_line_per_cost_that_there_is(self):
        rows = [ranges_row(number, map=5 + number, bytes=32 * number) for number in ranges.NUMBERS]
        self.assertEqual(ranges.table(rows)[1:], [
            ('demo', 'below one switch', 'instructions of dma_buf_phys_vec_to_sgt()',
             '6.0', '1.5', '1.1', '1.0', '1.0', '1.0'),
            ('demo', 'below one switch', 'bytes of memory', *['32.0'] * 6)])

    def test_markdown(self):
        rows = [ranges_row(number, map=5 + number) for number in ranges.NUMBERS]
        shown = ranges.markdown(rows)
        self.assertEqual(shown[0], '| machine | route | per range, of | 1 | 10 | 100 | 1000 '
                                   '| 10000 | 100000 |')
        self.assertEqual({line.count('|') for line in shown[:3]}, {10})
        self.assertIn(ranges.verdict(rows)[0], shown)
        self.assertEqual(ranges.markdown([]), [])


class Tables(Case):
    def test_changes_have_a_sign(self):
        self.assertEqual([cost.change(count) for count in (2, -1, 0)], ['+2', '-1', '0'])

    def test_table(self):
        self.assertEqual(cost.table([row(100, 98)])[1],
                         'demo     dma_map_sg, 16 entries  map    100      98          -2'
                         '               9')

    def test_result_survives_being_kept(self):
        base = types.SimpleNamespace(dir=self.scratch, version='6.18.99')
        self.assertIsNone(cost.load(base))
        self.assertEqual(cost.markdown(base), [])
        rows, texts = [row(100, 98), row(50, 50, 'unmap')], [cost.Text('x86_64', cost.ALL, 9, 12)]
        device_memory = [ranges_row(number, map=number) for number in ranges.NUMBERS]
        cost.save(base, rows, texts, device_memory, 'abc', ['gcc 1'])
        kept = cost.load(base)
        self.assertEqual((kept['rows'], kept['texts'], kept['ranges'], kept['digest']),
                         (rows, texts, device_memory, 'abc'))
        shown = cost.markdown(base)
        self.assertIn('| demo | dma_map_sg, 16 entries | 100 | 98 | 9 | 50 | 50 | 9 |', shown)
        self.assertTrue(any('The machine code of the kernel grows by 3 bytes on x86_64.' in line
                            for line in shown))
        self.assertEqual(shown[-2:], [ranges.verdict(device_memory)[0], ''])

    def test_file_that_is_no_result(self):
        base = types.SimpleNamespace(dir=self.scratch, version='6.18.99')
        for text in ('{', '{}', '{"rows": [[1]], "texts": [], "ranges": []}',
                     '{"rows": [], "texts": []}', '{"rows": [], "texts": [], "ranges": [[1]]}',
                     '{"rows": [], "texts": [], "ranges": 1}'):
            cost.path(base).write_text(text)
            self.fails('is not what "make bench RECORD=1" writes', cost.load, base)


class Sizes(Case):
    def test_only_code_counts(self):
        self.assertEqual(bench.parse_sizes(SIZES), {'vmlinux': 1020, 'kernel/a.o': 15})

    def test_only_differences_are_shown(self):
        stock = {'vmlinux': 100, 'a.o': 1, 'b.o': 2}
        series = {'vmlinux': 103, 'a.o': 1, 'b.o': 4, 'c.o': 1}
        self.assertEqual(bench.compare_sizes('x86_64', stock, series),
                         [('x86_64', 'vmlinux', 100, 103), ('x86_64', 'all objects', 3, 6),
                          ('x86_64', 'b.o', 2, 4),
                          ('x86_64', 'c.o', 0, 1)])


class Configuration(Case):
    def test_last_word_on_an_option_counts(self):
        merged = bench.merge(['CONFIG_A=y\nCONFIG_AB=y\n# a comment\n',
                              '# CONFIG_A is not set\n\nCONFIG_C=y\n'])
        self.assertEqual(merged, '# CONFIG_A is not set\nCONFIG_AB=y\nCONFIG_C=y\n')

    def test_debugging_is_off(self):
        for arch in ('x86_64', 'arm64'):
            self.assertNotRegex(bench.fragment(arch), r'(?m)^CONFIG_(?:KUNIT|\w*DEBUG_(?!KERNEL|FS))')

    def test_machines_count_on_one_processor(self):
        for name in bench.MACHINES:
            machine = project.Machine(name)
            before = list(machine.qemu)
            words = boot.qemu(bench.counting(machine), 'tcg', 'image', 'initrd', '')
            self.assertEqual(machine.qemu, before)
            self.assertEqual(words[len(words) - words[::-1].index('-smp')], '1')
            self.assertIn('shift=0,sleep=off', words)
            self.assertEqual('cortex-a57,cntfrq=1000000000' in words, machine.arch == 'arm64')


class Digest(Case):
    def test_what_does_not_cost_does_not_count(self):
        same = PATCH.replace('Why', 'Because').replace('words', 'other words') \
                    .replace('@@ -1,2 +1,2 @@', '@@ -7,2 +7,2 @@').replace('2222', '5555')
        self.assertEqual(bench.code_changes(PATCH), bench.code_changes(same))

    def test_code_counts(self):
        self.assertNotEqual(bench.code_changes(PATCH),
                            bench.code_changes(PATCH.replace('+new', '+newer')))

    def test_where_code_is(self):
        for name, counts in (('kernel/dma/direct.c', True), ('include/linux/dma-mapping.h', True),
                             ('drivers/iommu/dma-iommu.c', True), ('kernel/dma/Kconfig', False),
                             ('kernel/dma/tests/a_kunit.c', False), ('mm/hmm.c', False),
                             ('drivers/dma-buf/a.c', True), ('drivers/dma-buf/tests/a.c', False),
                             ('arch/arm64/mm/a.c', True), ('arch/sparc/kernel/iommu.c', False),
                             ('tools/testing/selftests/dma/a.c', False)):
            self.assertEqual(bool(bench.CODE.match(name)), counts, name)


class Stale(KernelCase):
    def test_result_is_stale_once_its_cause_changes(self):
        self.assertEqual(bench.stale(self.base), [])
        cost.save(self.base, [], [], [], bench.digest(self.base), [])
        self.assertEqual(bench.stale(self.base), [])
        self.commit('driver: cost nobody anything', {'driver.c': 'int more;\n'})
        self.assertEqual(bench.stale(self.base), [])
        patch = self.base.dir / self.base.series()[0][0]
        patch.write_text(patch.read_text().replace('driver.c', 'lib/driver.c'))
        self.assertIn('run "make bench BASE=6.18 RECORD=1"', bench.stale(self.base)[0])


class Command(Case):
    def setUp(self):
        super().setUp()
        # A mistake that is not noticed must not start to build kernels.
        self.patch(bench.packages, 'for_arch', None)

    def test_machine_that_bounces(self):
        os.environ['MACHINE'] = 'x86_64-swiotlb'
        self.fails('MACHINE=x86_64-swiotlb is not for the benchmark: choose one of x86_64-direct',
                   bench.command)

    def test_unknown_base(self):
        os.environ['BASE'] = '5.10'
        self.fails('unknown BASE=5.10: choose one of', bench.command)

    def test_only_a_whole_result_is_kept(self):
        for variable in ('MACHINE', 'KERNEL'):
            os.environ.pop('MACHINE', None)
            os.environ.update({'RECORD': '1', variable: 'x86_64-direct'})
            self.fails('RECORD= keeps the result of all machines', bench.command)
