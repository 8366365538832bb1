# SPDX-License-Identifier: GPL-2.0
from harness import assemble, bisect
from harness.tests import KernelCase


class Fake:
    """A kernel whose compiler finds fault with what is in the sources."""

    log = []
    forced = ()

    def __init__(self, base, tree, option=None):
        self.tree, self.option = tree, option
        self.name = f'without {option}' if option else 'with everything'

    def fragment(self):
        return self.name

    def has(self, option):
        return option in self.forced

    def warnings(self, kconfig, sources, depends):
        self.log.append((self.option, sorted(sources)))
        objects = [name[:-2] + '.o' for name in sources]
        if any(self.option not in depends.get(name, [self.option]) for name in objects):
            return [], ''
        lines = [f'{name}:{number}:1: warning: {line}' for name in sources
                 for number, line in enumerate((self.tree / name).read_text().splitlines(), 1)
                 if line == 'bad' or line == f'bad without {self.option}']
        return objects, '\n'.join(lines)

    def depends(self, objects):
        return {name: ['XEN'] for name in objects}


class Bisect(KernelCase):
    def setUp(self):
        super().setUp()
        self.patch(Fake, 'log', [])
        self.patch(bisect, 'Step', Fake)
        self.patch(bisect, 'output_of', lambda command: 'a compiler')

    def commit(self, subject, **files):
        for name, text in files.items():
            (self.work / f'{name}.c').write_text(text)
        assemble.git(self.work, 'add', '--all', '--force')
        assemble.git(self.work, 'commit', '--quiet', '--message', subject)
        self.write_back(self.work)

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
        self.assertEqual(bisect.name_of([None, 'XEN']), 'with everything')
        self.assertEqual(bisect.name_of(['SWIOTLB', 'XEN']), 'without SWIOTLB on i386 or XEN')

    def test_objects_that_do_not_depend_on_an_option_are_not_compiled_without_it(self):
        self.commit('driver: need KUnit', driver=self.driver('bad without KUNIT'))
        self.assertEqual(bisect.check(self.base), [])

    def test_second_run_compiles_only_what_is_new(self):
        self.commit('driver: go wrong', driver=self.driver('bad'))
        first = bisect.check(self.base)
        Fake.log.clear()
        self.assertEqual(bisect.check(self.base), first)
        self.assertEqual(Fake.log, [])
        self.commit('driver: go on', driver=self.driver('more'))
        self.assertEqual(bisect.check(self.base), first)
        self.assertEqual({tuple(sources) for _, sources in Fake.log}, {('driver.c',)})
        self.assertEqual([option for option, _ in Fake.log], [None, None, 'XEN', 'XEN'])

    def test_includers_of_a_changed_header(self):
        (self.work / 'tests' / 'inner.h').write_text('')
        (self.work / 'tests' / 'outer.h').write_text('#include "inner.h"\n')
        (self.work / 'tests' / 'user_kunit.c').write_text('#include "outer.h"\n')
        self.commit('driver: add headers')
        series = bisect.Series(self.base)
        self.assertEqual(series.affected(series.commits[-1]), {'tests/user_kunit.c'})
        self.assertEqual(series.including(series.commits[-1], {'inner.h'}, 'h'),
                         {'tests/outer.h'})
        self.assertEqual(series.including(series.commits[-1], {'other.h'}, 'c'), set())

    def test_option_that_stays_on_is_said(self):
        self.patch(Fake, 'forced', ('XEN',))
        bisect.check(self.base)
        self.assertIn('XEN cannot be turned off', self.output.getvalue())


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
