# SPDX-License-Identifier: GPL-2.0
import os
import types

from harness import (assemble, boot, build, history, mutate, packages, passes, project, report,
                     suites)
from harness.tests import DRIVER, Case
from harness.tests.test_proof import SUITE, SeriesCase, result


class Walking(SeriesCase):
    """All of it, but for kernels and machines."""

    machines = ('x86_64-direct', 'arm64-direct')

    def setUp(self):
        super().setUp()
        self.patch(build, 'ROOT', self.root)
        self.patch(packages, 'for_arch', lambda *arches: None)
        self.patch(build, 'compiler_version', lambda arch: 'a compiler')
        self.patch(boot, 'accelerator', lambda machine, image: 'tcg')
        os.environ['MACHINE'] = ' '.join(self.machines)
        self.built, self.booted, self.results = [], [], {}

        def make(kernel):
            self.built.append((kernel.arch, kernel.flavour, kernel.programs))
            kernel.image.write_text((kernel.source / 'driver.c').read_text() + repr(
                [path.read_text() for path in kernel.source.glob('tests/*.c')]))
        self.patch(passes.CommitKernel, 'build', make)
        self.patch(passes.CommitKernel, 'image', self.scratch / 'image')
        self.patch(passes.CommitKernel, 'used', lambda kernel: ['driver.c', *(
            f'tests/{path.name}' for path in kernel.source.glob('tests/*.c'))])
        self.patch(passes.CommitKernel, 'pack_tests', lambda kernel: None)
        self.patch(suites, 'boot_and_read', self.boot_and_read)

    def boot_and_read(self, kernel, machine, expectation):
        self.booted.append((kernel.flavour, machine.name, sorted(expectation.suites)))
        results = [result(f'{suite}.{case}', self.results.get((kernel.flavour, case), 'passed'))
                   for suite, cases in sorted(expectation.suites.items())
                   for case in sorted(cases)]
        found = types.SimpleNamespace(results=results, problems=[])
        found.failures = lambda: [f'{one.suite}.{one.case}' for one in results
                                  if one.status == 'failed']
        return found

    def test_each_commit_runs_the_tests_that_it_has(self):
        self.assertEqual(passes.check(self.base), [])
        self.assertEqual(self.booted, [
            ('commit-6', 'x86_64-direct', ['function']), ('commit-6', 'arm64-direct', ['function']),
            ('commit-7', 'x86_64-direct', ['driver', 'function']),
            ('commit-7', 'arm64-direct', ['driver', 'function'])])
        # The programs come with the last one.
        self.assertEqual(self.built, [('x86_64', 'commit-6', False), ('arm64', 'commit-6', False),
                                      ('x86_64', 'commit-7', True), ('arm64', 'commit-7', True)])
        self.assertIn('2 commits have tests, and ran on 2 machines; 4 kernels and 4 boots were new',
                      self.output.getvalue())

    def test_second_run_builds_and_boots_nothing(self):
        passes.check(self.base)
        self.booted.clear(), self.built.clear()
        self.patch(assemble, 'check_out', None)
        self.assertEqual(passes.check(self.base), [])
        self.assertEqual(self.booted + self.built, [])

    def test_another_judge_judges_anew(self):
        passes.check(self.base)
        boots = len(self.booted)
        self.patch(mutate, 'judges', lambda machine: 'stricter')
        self.assertEqual(passes.check(self.base), [])
        self.assertEqual(len(self.booted), 2 * boots)

    def test_commit_that_changes_nothing_in_the_image(self):
        passes.check(self.base)
        self.booted.clear(), self.built.clear()
        self.commit('docs: say more', {'Documentation/other.rst': 'More.\n'})
        self.commit('other: add a driver', {'other.c': 'other\n'})
        self.assertEqual(passes.check(self.base), [])
        self.assertEqual(self.booted + self.built, [])

    def test_another_build_of_the_same_image(self):
        passes.check(self.base)
        self.booted.clear(), self.built.clear()
        self.commit('build: turn on what is on', {'Makefile': (
            self.work / 'Makefile').read_text() + '\n'})
        self.assertEqual(passes.check(self.base), [])
        self.assertEqual(len(self.built), 2)
        self.assertEqual(self.booted, [])
        self.assertIn('the image is one that passes', self.output.getvalue())

    def test_commit_that_changes_a_used_file(self):
        passes.check(self.base)
        self.booted.clear(), self.built.clear()
        self.commit('driver: do more', {'driver.c': DRIVER + 'more\n'})
        passes.check(self.base)
        self.assertEqual([flavour for flavour, _, _ in self.booted], ['commit-8'] * 2)

    def test_new_machine_boots_what_is_known_elsewhere(self):
        passes.check(self.base)
        self.booted.clear()
        os.environ['MACHINE'] = 'x86_64-direct x86_64-iommu'
        passes.check(self.base)
        self.assertEqual({name for _, name, _ in self.booted}, {'x86_64-iommu'})

    def test_case_that_fails_names_the_commit_and_is_tried_again(self):
        self.results['commit-7', 'spells_three'] = 'failed'
        problems = ['6.18: "driver: add tests" on x86_64-direct: driver.spells_three',
                    '6.18: "driver: add tests" on arm64-direct: driver.spells_three']
        self.assertEqual(passes.check(self.base), problems)
        self.booted.clear()
        self.assertEqual(passes.check(self.base), problems)
        self.assertEqual({flavour for flavour, _, _ in self.booted}, {'commit-7'})
        self.results.clear()
        self.assertEqual(passes.check(self.base), [])

    def test_kernel_that_cannot_be_built_names_the_commit(self):
        def broken(kernel):
            raise project.Failure('driver.c:1: error: no')
        self.patch(passes.CommitKernel, 'build', broken)
        self.assertEqual(passes.check(self.base)[0],
                         '6.18: "function: add tests": driver.c:1: error: no')

    def test_options_of_later_patches_are_not_set(self):
        walk = passes.Walk(history.Series(self.base))
        commits = walk.series.commits
        self.assertEqual(walk.kernel(commits[5], 'x86_64').tests_fragment(),
                         'CONFIG_KUNIT=y\nCONFIG_FUNCTION_KUNIT_TEST=y\n')
        self.assertIn('CONFIG_DRIVER_KUNIT_TEST=y\n',
                      walk.kernel(commits[6], 'x86_64').tests_fragment())

    def test_configuration_that_comes_too_early(self):
        self.assertEqual(passes.early_configurations(self.base), [])
        self.commit('driver: test more', {
            'Kconfig': (self.work / 'Kconfig').read_text() + 'config LATE_KUNIT_TEST\n',
            'tests/late_kunit.c': SUITE.replace('"driver"', '"late"')})
        (self.root / 'tests' / '.kunitconfig').write_text('CONFIG_LATE_KUNIT_TEST=y\n')
        self.assertEqual(passes.early_configurations(self.base), [
            '6.18/0007-driver-add-tests.patch: tests/.kunitconfig turns on LATE_KUNIT_TEST, which '
            'a later patch brings'])

    def test_part_of_the_commits(self):
        passes.check(self.base, 1, 6)
        self.assertEqual({flavour for flavour, _, _ in self.booted}, {'commit-6'})


class Kernels(Case):
    def kernel(self):
        kernel = passes.CommitKernel.__new__(passes.CommitKernel)
        kernel.dir = self.scratch
        return kernel

    def test_sources_that_a_build_has_read(self):
        (self.scratch / 'init').mkdir()
        (self.scratch / 'init' / '.main.o.cmd').write_text(
            'savedcmd_init/main.o := gcc -I../include -c -o init/main.o ../init/main.c \n\n'
            'source_init/main.o := ../init/main.c\n\n'
            'deps_init/main.o := \\\n  ../arch/x86/include/../include/asm/a.h \\\n'
            '    $(wildcard include/config/SMP) \\\n  include/generated/b.h \\\n')
        self.assertEqual(self.kernel().used(), ['arch/x86/include/asm/a.h', 'init/main.c'])

    def test_build_that_says_nothing_of_its_sources(self):
        self.fails('do not say what was compiled', self.kernel().used)

    def test_same_kernel_has_the_same_image(self):
        self.assertEqual(self.kernel().environment()['KBUILD_BUILD_VERSION'], '1')


class Reading(Case):
    def test_what_the_kernel_is_told(self):
        told = []
        self.patch(boot, 'boot', lambda *arguments: told.append(arguments)
                   or boot.Boot('/dev/null'))
        self.patch(report, 'Report', lambda *arguments: types.SimpleNamespace(
            problems=[], outcomes=[]))
        kernel = types.SimpleNamespace(
            base=project.Base('6.18'), flavour='commit-1', image='image', source=None,
            append='', timeout=1, signs=(), heard=lambda done: done, with_series=True,
            pack_tests=lambda: 'initrd')
        machine = project.Machine('x86_64-direct')
        expectation = types.SimpleNamespace(pattern=None, suites={'a': {'b'}}, programs={},
                                            arguments=lambda: 'none')
        suites.boot_and_read(kernel, machine, expectation)
        expectation.suites = {}
        suites.boot_and_read(kernel, machine, expectation)
        self.assertEqual([arguments[3] for arguments in told],
                         [' -- none', ' kunit.enable=0 -- none'])
        self.assertEqual(told[0][4].name, 'boot-6.18-commit-1-x86_64-direct.log')

    def test_machines_that_are_booted(self):
        os.environ.pop('MACHINE', None)
        self.assertLessEqual({machine.arch for machine in passes.chosen_machines()},
                             set(build.ARCH))
        os.environ['MACHINE'] = 'arm64-smmu'
        self.assertEqual([machine.name for machine in passes.chosen_machines()], ['arm64-smmu'])
