# SPDX-License-Identifier: GPL-2.0
from harness import assemble, bisect, build, compilers, history, passes
from harness.tests import KernelCase


class Fake:
    """A kernel whose compiler finds fault with what is in the sources."""

    log = []
    forced = ()
    depending = ['XEN']

    def __init__(self, base, tree, option=None):
        self.tree, self.option = tree, option
        self.name = bisect.name_of([option])

    def fragment(self):
        return self.name

    def has(self, option):
        return option in self.forced

    def warnings(self, kconfig, sources):
        self.log.append((self.option, sorted(sources)))
        return {name: '\n'.join(
            f'{name}:{number}:1: warning: {line}'
            for number, line in enumerate((self.tree / name).read_text().splitlines(), 1)
            if line == 'bad' or line == f'bad without {self.option}') for name in sources}

    def depends(self, source):
        return self.depending


class Bisect(KernelCase):
    def setUp(self):
        super().setUp()
        self.patch(Fake, 'log', [])
        self.patch(bisect, 'Step', Fake)
        self.patch(build, 'compiler_version', lambda arch: 'a compiler')

    def commit(self, subject, **files):
        super().commit(subject, {f'{name}.c': text for name, text in files.items()})

    def driver(self, line):
        return (self.work / 'driver.c').read_text() + line + '\n'

    def test_commits_without_fault(self):
        self.assertEqual(bisect.check(self.base), [])
        self.assertIn('2 commits', self.output.getvalue())

    def test_commit_that_brings_a_warning_is_named_once(self):
        self.commit('driver: go wrong', driver=self.driver('bad'))
        self.commit('driver: go on', driver=self.driver('more'))
        self.assertEqual(bisect.check(self.base),
                         ['6.18: "driver: go wrong" with everything: driver.c: warning: bad'])

    def test_warning_without_an_option(self):
        self.commit('driver: need Xen', driver=self.driver('bad without XEN'))
        self.assertEqual(bisect.check(self.base),
                         ['6.18: "driver: need Xen" without XEN: driver.c: warning: bad without XEN'])

    def test_configurations_that_have_a_warning_are_named(self):
        self.patch(Fake, 'depending', ['XEN', 'KUNIT'])
        self.commit('driver: go wrong', driver=self.driver('bad without XEN\nbad without KUNIT'))
        self.commit('driver: go on', driver=self.driver('bad'))
        self.assertEqual(bisect.check(self.base), [
            '6.18: "driver: go wrong" without KUNIT: driver.c: warning: bad without KUNIT',
            '6.18: "driver: go wrong" without XEN: driver.c: warning: bad without XEN',
            '6.18: "driver: go on" with everything: driver.c: warning: bad'])
        self.assertEqual(bisect.name_of(['SWIOTLB', 'XEN']), 'without SWIOTLB on i386 or XEN')

    def test_file_of_another_architecture_is_compiled_for_that_one_only(self):
        self.commit('sparc: go wrong', **{'arch/sparc/kernel/iommu': 'bad\n'})
        self.assertEqual(bisect.check(self.base), [
            '6.18: "sparc: go wrong" on sparc64: arch/sparc/kernel/iommu.c: warning: bad'])
        self.assertEqual([option for option, sources in Fake.log
                          if 'arch/sparc/kernel/iommu.c' in sources], ['sparc64'])

    def test_file_that_its_architecture_does_not_compile(self):
        self.patch(Fake, 'warnings', lambda *_: {})
        self.commit('sparc: add', **{'arch/sparc/kernel/iommu': 'good\n'})
        self.fails('on sparc64: arch/sparc/kernel/iommu.c is not compiled', bisect.check, self.base)

    def test_objects_that_do_not_depend_on_an_option_are_not_compiled_without_it(self):
        self.commit('driver: need KUnit', driver=self.driver('bad without KUNIT'))
        self.assertEqual(bisect.check(self.base), [])

    def test_second_run_compiles_only_what_is_new(self):
        self.commit('driver: go wrong', driver=self.driver('bad'))
        first = bisect.check(self.base)
        Fake.log.clear()
        self.patch(assemble, 'check_out', None)
        self.assertEqual(bisect.check(self.base), first)
        self.assertEqual(Fake.log, [])

    def test_new_commit_costs_what_it_changes(self):
        bisect.check(self.base)
        Fake.log.clear()
        self.commit('driver: go on', driver=self.driver('more'))
        bisect.check(self.base)
        self.assertEqual(Fake.log, [(None, ['driver.c']), ('XEN', ['driver.c'])])

    def test_same_content_in_another_commit_is_known(self):
        bisect.check(self.base)
        Fake.log.clear()
        assemble.git(self.work, 'commit', '--quiet', '--amend', '--message', 'driver: say more')
        self.write_back(self.work)
        self.assertEqual(bisect.check(self.base), [])
        self.assertEqual(Fake.log, [])

    def test_header_makes_a_result_another(self):
        self.commit('driver: include', driver=self.driver('#include "driver.h"'))
        bisect.check(self.base)
        Fake.log.clear()
        (self.work / 'driver.h').write_text('')
        self.commit('driver: add the header')
        bisect.check(self.base)
        self.assertIn((None, ['driver.c']), Fake.log)

    def test_commits_share_a_check_out(self):
        bisect.check(self.base)
        Fake.log.clear()
        self.commit('other: come', **{'tests/other': 'bad without XEN\n'})
        self.commit('driver: go on', driver=self.driver('more'))
        checked_out = []
        check_out = assemble.check_out
        self.patch(assemble, 'check_out', lambda repo, tree, commit: (
            checked_out.append(commit), check_out(repo, tree, commit)))
        self.assertEqual(bisect.check(self.base),
                         ['6.18: "other: come" without XEN: tests/other.c: warning: bad without '
                          'XEN'])
        self.assertEqual(Fake.log, [(None, ['tests/other.c']), ('XEN', ['tests/other.c']),
                                    # What it is compared with has no such file.
                                    ('XEN', []), (None, ['driver.c']), ('XEN', ['driver.c'])])
        commits = [commit.name for commit in history.Series(self.base).commits]
        self.assertEqual(checked_out, [commits[3], commits[1], commits[3]])

    def test_commit_before_is_only_compiled_for_what_has_a_warning(self):
        self.commit('driver: go wrong', driver=self.driver('bad'))
        bisect.check(self.base)
        self.assertEqual([option for option, sources in Fake.log if sources == ['driver.c']],
                         [None, 'XEN'] * 3)

    def test_interrupted_run_goes_on(self):
        work = Fake.warnings

        def interrupted(step, kconfig, sources):
            if Fake.log:
                raise KeyboardInterrupt
            return work(step, kconfig, sources)
        self.patch(Fake, 'warnings', interrupted)
        with self.assertRaises(KeyboardInterrupt):
            bisect.check(self.base)
        self.assertEqual(Fake.log, [(None, ['driver.c'])])
        self.patch(Fake, 'warnings', work)
        bisect.check(self.base)
        self.assertEqual(Fake.log[:3], [(None, ['driver.c']), ('XEN', ['driver.c']),
                                        (None, ['driver.c', 'tests/driver_kunit.c'])])

    def test_what_it_is_doing(self):
        bisect.check(self.base)
        self.assertIn('compile commit 1 of 2, "driver: spell ten": 1 file\n',
                      self.output.getvalue())

    def test_option_that_stays_on_is_a_problem(self):
        self.patch(Fake, 'forced', ('XEN',))
        self.assertEqual(bisect.check(self.base),
                         ['6.18: XEN cannot be turned off: what selects it?'])

    def test_what_another_option_matters_to_is_not_known(self):
        bisect.check(self.base)
        self.patch(bisect, 'WITHOUT', {**bisect.WITHOUT, 'DEMO': ()})
        Fake.log.clear()
        bisect.check(self.base)
        self.assertIn((None, ['driver.c']), Fake.log)


class Record(KernelCase):
    def test_sentence(self):
        self.patch(bisect, 'compile_commits', lambda base: ([], 8))
        self.patch(passes, 'check', lambda base: [])
        self.patch(passes, 'chosen_machines', lambda: ['one', 'two'])
        self.patch(passes.Walk, 'tested', lambda walk: walk.series.commits[1:])
        self.assertEqual(bisect.result(self.base),
                         '2 commits compile without a new warning in 8 configurations, and the 1 '
                         'that have tests pass them on 2 machines')

    def test_problems_are_no_result(self):
        self.patch(bisect, 'compile_commits', lambda base: (['a warning'], 8))
        self.patch(passes, 'check', lambda base: ['a failure'])
        self.fails('a warning\na failure', bisect.result, self.base)


class Configuration(KernelCase):
    def step(self, option=None):
        return bisect.Step(self.base, self.kernel, option)

    def test_without_an_option_nothing_turns_it_on(self):
        text = self.step('HMM_MIRROR').fragment()
        for option in ('HMM_MIRROR', 'INFINIBAND_ON_DEMAND_PAGING'):
            self.assertNotIn(f'CONFIG_{option}=y', text)
            self.assertIn(f'# CONFIG_{option} is not set\n', text)
        self.assertIn('CONFIG_INFINIBAND_ON_DEMAND_PAGING=y', self.step().fragment())

    def test_where_swiotlb_can_be_off(self):
        step = self.step('SWIOTLB')
        self.assertIn('ARCH=i386', step.make())
        self.assertIn('CONFIG_X86_PAE=y\n', step.fragment())
        self.assertNotIn('CONFIG_INTEL_IOMMU=y', step.fragment())
        self.assertIn('ARCH=x86_64', self.step().make())


class Output(KernelCase):
    TEXT = '''  GEN     Makefile
  CC [M]  drivers/a.o
../drivers/a.c:1:2: warning: unused
  CC      drivers/b.o
make[3]: *** [drivers/b.o] Error 1
'''

    def test_each_object_has_its_own_warnings(self):
        said = bisect.by_object(self.TEXT, ['drivers/a.o', 'drivers/b.o'])
        self.assertEqual(compilers.normalise(said['drivers/a.o']),
                         {'drivers/a.c: warning: unused'})
        self.assertEqual(compilers.normalise(said['drivers/b.o']), set())

    def test_what_belongs_to_no_object_is_about_each(self):
        said = bisect.by_object('  CC      kernel/bounds.s\nx.h:1:1: error: what\n' + self.TEXT,
                                ['drivers/a.o', 'drivers/b.o'])
        for name in said:
            self.assertIn('x.h: error: what', compilers.normalise(said[name]))

    def test_object_that_is_not_there_and_nobody_says_why(self):
        step = bisect.Step(self.base, self.kernel)
        self.patch(bisect.Step, 'configure_for', lambda *arguments: None)
        self.patch(bisect.Step, 'enabled', lambda *arguments: ['driver.o'])
        self.patch(bisect.Step, 'compile', lambda *arguments: '  CC      other.o\n')
        self.fails('driver.o was not compiled', step.warnings, [], ['driver.c'])
        self.patch(bisect.Step, 'compile', lambda *arguments: '  CC      driver.o\n'
                                                              'driver.c:1:1: error: no\n')
        self.assertIn('error: no', step.warnings([], ['driver.c'])['driver.c'])

    def test_options_that_an_object_depends_on(self):
        step = bisect.Step(self.base, self.kernel)
        step.dir.mkdir()
        self.assertEqual(step.depends('driver.c'), list(bisect.WITHOUT))
        (step.dir / '.driver.o.cmd').write_text('  $(wildcard include/config/XEN) \\\n'
                                                '  $(wildcard include/config/KUNIT_X) \\\n')
        self.assertEqual(step.depends('driver.c'), ['XEN'])
