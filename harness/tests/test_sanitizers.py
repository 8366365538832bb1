# SPDX-License-Identifier: GPL-2.0
import os
import re
import types

from harness import __main__ as commands
from harness import assemble, boot, build, project, report, sanitizers, suites
from harness.tests import Case


class Sanitizing(Case):
    def setUp(self):
        super().setUp()
        self.base = types.SimpleNamespace(name='demo', version='1.2.3', dir=self.scratch,
                                          new_files=lambda: [])
        for name in ('patched', 'stock', 'tree_version'):
            self.patch(assemble, name, lambda _: self.scratch)
        self.changed = ['Makefile', 'kernel/dma/swiotlb.c', 'include/linux/swiotlb.h',
                        'drivers/dma-buf/dma-buf.c',
                        'tools/testing/selftests/dma/test_modules/edu_dma_main.c']
        self.patch(assemble, 'git', lambda *_: '\n'.join(self.changed))

    def kernel(self, kind=None, arch='x86_64'):
        return sanitizers.Kernel(self.base, arch, kind) if kind else build.Kernel(self.base, arch)

    def test_one_or_both_or_none(self):
        for value, kinds in (('', [None]), ('1', ['memory', 'races']), ('races', ['races']),
                             ('races,memory races', ['races', 'memory'])):
            os.environ['SANITIZE'] = value
            self.assertEqual(sanitizers.asked(), kinds)

    def test_unknown_kind_is_refused_before_anything_is_done(self):
        for value in ('kasan', '2', 'memory,lock', '1,memory'):
            os.environ['SANITIZE'] = value
            self.fails('choose one of memory, races, or 1', commands.test)

    def test_each_is_a_kernel_of_its_own(self):
        kernels = [self.kernel(), self.kernel('memory'), self.kernel('races')]
        for attribute in ('dir', 'log', 'flavour', 'image', 'name'):
            self.assertEqual(len({getattr(kernel, attribute) for kernel in kernels}), 3)

    def test_each_has_its_options(self):
        plain, memory, races = (self.kernel(kind).fragment() for kind in (None, 'memory', 'races'))

        def has(text, option):
            return f'\nCONFIG_{option}=y\n' in text
        for option in ('KASAN', 'UBSAN', 'DEBUG_KMEMLEAK', 'DEBUG_OBJECTS'):
            self.assertEqual([has(text, option) for text in (plain, memory, races)],
                             [False, True, False], option)
        self.assertEqual([has(text, 'KCSAN_STRICT') for text in (plain, memory, races)],
                         [False, False, True])
        for option in ('PROVE_LOCKING', 'DEBUG_ATOMIC_SLEEP', 'DEBUG_SG', 'DMABUF_DEBUG',
                       'PAGE_POISONING'):
            self.assertTrue(has(memory, option) and has(races, option), option)

    def test_what_only_an_architecture_or_a_base_has(self):
        self.assertIn('CONFIG_EXPERT=y', self.kernel('races', 'arm64').fragment())
        self.assertNotIn('CONFIG_EXPERT=y', self.kernel('races').fragment())
        self.assertIn('CONFIG_NR_CPUS=2', self.kernel('races').fragment())
        self.assertIn('CONFIG_ARM64_VA_BITS_48=y', self.kernel('memory', 'arm64').fragment())
        (self.scratch / 'sanitizers-memory.config').write_text('CONFIG_IOMMU_DEBUG_PAGEALLOC=y\n')
        self.assertIn('CONFIG_IOMMU_DEBUG_PAGEALLOC=y', self.kernel('memory').fragment())
        self.assertNotIn('CONFIG_IOMMU_DEBUG_PAGEALLOC=y', self.kernel('races').fragment())

    def test_is_for_make_test_alone(self):
        os.environ['SANITIZE'] = '1'
        self.assertNotIn('CONFIG_KASAN=y', self.kernel().fragment())

    def test_what_is_noisy_is_looked_for_in_what_the_series_touches(self):
        command = self.kernel('races').make('vmlinux')
        objects = 'kernel/dma/swiotlb.o drivers/dma-buf/dma-buf.o edu_dma_main.o'
        self.assertIn(f'KCSAN_SANITIZE=$(if $(filter {objects},$@),y,n)', command)
        self.assertIn('KCSAN_INSTRUMENT_BARRIERS_mutex.o=y', command)
        self.changed.append('mm/hmm.c')
        self.assertNotEqual(command, self.kernel('races').make('vmlinux'))
        command = self.kernel('memory').make('vmlinux')
        self.assertTrue([word for word in command if word.startswith('UBSAN_SANITIZE=$(if')])
        self.assertFalse([word for word in command if 'KCSAN' in word or 'KASAN' in word])
        self.assertFalse([word for word in self.kernel().make() if 'SAN' in word])

    def test_kasan_is_not_for_xen(self):
        xen, other = project.Machine('xen'), project.Machine('x86_64-direct')
        self.assertEqual(sanitizers.able('memory', [xen, other]), [other])
        self.assertEqual(sanitizers.able('races', [xen, other]), [xen, other])
        self.fails('choose another MACHINE', sanitizers.able, 'memory', [xen])

    def test_what_is_compiled_without_is_a_failure(self):
        kernel = self.kernel('races')
        compiled = kernel.dir / 'kernel' / 'dma' / '.swiotlb.o.cmd'
        compiled.parent.mkdir(parents=True)
        self.patch(build.Kernel, 'build', lambda kernel: kernel)
        compiled.write_text('gcc -fsanitize=thread -o swiotlb.o swiotlb.c')
        self.assertIs(kernel.build(), kernel)
        compiled.write_text('gcc -o swiotlb.o swiotlb.c')
        self.fails('kernel/dma/swiotlb.c is compiled without KCSAN', kernel.build)
        compiled.unlink()
        self.fails('says how kernel/dma/swiotlb.c is compiled', kernel.build)

    def results_of(self, status):
        """What make test says of a suite and of that for Xen, which no machine but it has run."""
        results = [report.Result('one', 'runs', 'passed', ''),
                   report.Result('one', 'is_lost', status, ''),
                   report.Result('swiotlb_xen', 'runs', 'skipped', '')]
        found = types.SimpleNamespace(results=results, problems=[], splats=[], failures=lambda: [],
                                      suites=lambda: [])
        self.patch(suites, 'boot_all', lambda boots: iter([found] * len(boots)))
        self.patch(build.Kernel, 'build', lambda kernel: kernel)
        self.patch(sanitizers.Kernel, 'build', lambda kernel: kernel)
        self.patch(report, 'Expectation', lambda *arguments: None)
        return lambda kind, chosen: suites.test_base(self.base, chosen, None, kind)[0][1]

    def test_case_that_no_machine_with_sanitizers_runs_is_a_failure(self):
        everything = project.default_machines()
        failed = self.results_of('skipped')
        self.assertEqual([failed(kind, everything) for kind in (None, 'memory', 'races')],
                         [2, 1, 2])
        self.assertIn('one.is_lost was skipped on every machine', self.output.getvalue())
        self.assertEqual(failed('memory', everything[:2]), 0)
        self.assertEqual(self.results_of('passed')('memory', everything), 0)

    def test_one_node_where_the_shadow_takes_what_lies_above_4_gib(self):
        self.assertIn('numa=fake=1', self.kernel('memory').append)
        self.assertNotIn('numa', self.kernel('memory', 'arm64').append)
        self.assertNotIn('numa', self.kernel('races').append)

    def controlled(self, text):
        self.patch(sanitizers.Control, 'build', lambda kernel: kernel)
        self.patch(sanitizers.Control, 'pack', lambda kernel, name: 'initramfs')
        log = self.scratch / 'log'
        log.write_text(text)
        booted = []
        self.patch(boot, 'boot', lambda machine, *arguments: booted.append(machine.name)
                   or boot.Boot(log))
        return booted

    def test_control_is_booted_once_for_each_architecture_that_can(self):
        booted = self.controlled('')
        self.patch(sanitizers, 'unreported', lambda kind, lines: [])
        sanitizers.control_all(self.base, 'memory', project.default_machines())
        self.assertEqual(booted, ['arm64-direct', 'x86_64-direct'])
        self.fails('choose another MACHINE', sanitizers.control_all, self.base, 'memory',
                   [project.Machine('xen')])

    def test_control_reads_the_log_as_it_is_read_for_the_tests(self):
        self.controlled('control: begin race\nBUG: KCSAN: data-race in x\ncontrol: end race\n')
        self.patch(sanitizers.Control, 'heard', lambda kernel, done: sanitizers.Boot(
            done, lambda lines: [line for line in lines if 'KCSAN' not in line]))
        self.fails(('x86_64-direct: race, ', 'done on purpose and not reported'),
                   sanitizers.control, self.base, 'races', project.Machine('x86_64-direct'))

    def test_has_longer_and_is_told_what_to_look_for(self):
        booted = []
        self.patch(boot, 'boot', lambda *arguments: booted.append(arguments)
                   or boot.Boot('/dev/null', 'no'))
        said = []
        expectation = types.SimpleNamespace(pattern='demo', suites={'demo'}, programs={},
                                            arguments=lambda: 'none')
        for kind in (None, 'memory'):
            kernel = self.kernel(kind)
            kernel.with_series, kernel.pack_tests = False, lambda: 'initramfs'
            said.append(suites.boot_and_read(kernel, project.Machine('xen'),
                                             expectation).problems)
        (*_, plain, _, short), (*_, poisoned, _, long) = booted
        self.assertNotIn('poison', plain)
        self.assertNotIn('oops=panic', plain)
        self.assertIn('oops=panic ', poisoned)
        self.assertIn('page_poison=1 ', poisoned)
        self.assertTrue(poisoned.endswith(' kunit.filter_glob=demo -- none'))
        self.assertLess(short, long)
        self.assertNotIn('the log does not say', ''.join(said[0]))
        self.assertIn('the log does not say "KernelAddressSanitizer initialized"', said[1])

    def moved(self, kind='races', arch='arm64', origin='race at unknown origin, with read',
              size=4, cpu=0):
        """How many splats are left of a log with one report."""
        rule = '[    2.1] ' + '=' * 66
        log = self.scratch / 'log'
        log.write_text('\n'.join((
            '[    2.0] before', rule, '[    2.1] BUG: KCSAN: data-race in dma_map_phys+0xf0/0x5ec',
            f'[    2.1] {origin} to 0xffff000003eb9910 of {size} bytes by task 23 on cpu 0:',
            f'[    2.1] value changed: 0x00000001 -> 0x0000000{cpu}', rule, '[    2.2] after')))
        lines = self.kernel(kind, arch).heard(boot.Boot(log)).lines()
        self.assertEqual((lines[0], lines[-1]), ('[    2.0] before', '[    2.2] after'))
        return len([line for line in lines if report.is_splat(line)])

    def test_task_that_moves_is_no_race_on_arm64(self):
        self.assertEqual(self.moved(), 0)

    def test_everything_else_is_a_race(self):
        for other in ({'kind': 'memory'}, {'arch': 'x86_64'}, {'size': 8}, {'cpu': 1},
                      {'origin': 'race at unknown origin, with write'},
                      {'origin': 'write'}):
            self.assertEqual(self.moved(**other), 1, other)

    def test_report_that_does_not_end_is_kept(self):
        lines = ['BUG: KCSAN: data-race in dma_map_phys+0xf0/0x5ec', 'more']
        self.assertEqual(sanitizers.without_moves(lines), lines)

    def leaked(self, *calls, kind='memory'):
        """The splats that are left of a log with an object for each call."""
        lines = ['kmemleak: 120 new suspected memory leaks (see /sys/kernel/debug/kmemleak)']
        for call in calls:
            lines += [f'harness: kmemleak: {line}' for line in (
                'unreferenced object 0xffff000006005500 (size 1992):',
                '  backtrace (crc 17c9ff6b):',
                *(f'    {name}+0x44/0xe0' for name in reversed(call.split())))]
        log = self.scratch / 'log'
        log.write_text('\n'.join([*lines, 'harness: done']))
        found = self.kernel(kind).heard(boot.Boot(log)).lines()
        self.assertIn('harness: done', found)
        return [line for line in found if report.is_splat(line)]

    def test_address_space_that_kunit_leaks_is_not_reported(self):
        self.assertEqual(self.leaked('kunit_vm_mmap_init mm_alloc kmem_cache_alloc_noprof',
                                     'kunit_vm_mmap kunit_attach_mm mm_alloc mm_init',
                                     'mmu_interval_notifier_insert __mmu_notifier_register'), [])

    def test_every_other_leak_is_reported(self):
        of_kunit = 'kunit_vm_mmap mm_alloc'
        for other in ('swiotlb_map', 'begin_new_exec mm_alloc', 'kunit_vm_mmap vm_mmap'):
            self.assertEqual(len(self.leaked(of_kunit, other)), 4 + len(other.split()) - 1, other)
        self.assertEqual(len(self.leaked(of_kunit, kind='races')), 5)
        self.assertEqual(len(self.leaked()), 1)

    def test_defect_that_is_not_reported_is_named(self):
        lines = ['control: begin out of bounds', 'BUG: KASAN: slab-out-of-bounds in control_init',
                 'control: end out of bounds', 'control: begin shift',
                 # Of another one, which does not count for this.
                 'BUG: KASAN: slab-out-of-bounds in control_init', 'control: end shift',
                 # Not while it was done.
                 'UBSAN: array-index-out-of-bounds in control.c',
                 'harness: kmemleak: unreferenced object 0xffff (size 104):']
        missing = sanitizers.unreported('memory', lines)
        self.assertNotIn('out of bounds', missing)
        self.assertNotIn('leak', missing)
        for name in ('shift', 'bounds', 'locks', 'lockdep'):
            self.assertIn(name, missing)

    def test_every_defect_is_in_the_module(self):
        source = (sanitizers.CONTROL / 'control.c').read_text()
        made = set(re.findall(r'\{ "([^"]+)", \w+ \}', source))
        wanted = {name for table in sanitizers.DEFECTS.values() for name in table} - {'lockdep'}
        self.assertEqual(made, wanted)

    def test_sentence_counts_what_was_found(self):
        one = sanitizers.sentence(self.base, 'memory', ['xen'], [5, 0, 1], 0)
        self.assertRegex(one, r'^Linux 1.2.3 with KASAN, UBSAN, .* and \S.*, on xen: '
                              r'5 passed, 0 failed, 1 skipped, no report\.$')
        several = sanitizers.sentence(self.base, 'races', ['xen', 'arm64-smmu'], [5, 2, 1], 2)
        self.assertRegex(several, r'strict KCSAN, lockdep.* on 2 machines: .* 2 reports\.$')
        self.assertNotIn('KASAN', several)

    def test_every_word_of_the_sentence_stands_for_an_option(self):
        text = ''.join(path.read_text() for path in
                       [*build.KCONFIG.glob('sanitizers-*.config'),
                        *project.ROOT.glob('series/*/sanitizers-*.config')])
        for option in sanitizers.NAMES:
            self.assertTrue(re.search(rf'^CONFIG_{option}=y$', text, re.M), option)
