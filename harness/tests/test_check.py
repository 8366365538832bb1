# SPDX-License-Identifier: GPL-2.0
import types

from harness import (analysers, assemble, bisect, build, check, coccinelle, compilers, fetch,
                     proof, readme)
from harness.project import Base, Failure, base_names
from harness.tests import Case


class Compiling(Case):
    """What make check compiles, and with which configuration."""

    def kernel(self, with_series):
        root = self.scratch
        (root / 'tests').mkdir(exist_ok=True)
        (root / 'tests' / '.kunitconfig').write_text('CONFIG_NET=y\nCONFIG_DEMO_KUNIT_TEST=y\n')
        base = types.SimpleNamespace(name='demo', dir=root, new_files=lambda: ['tests/.kunitconfig'])
        self.patch(build, 'ROOT', root)
        for name in ('patched', 'stock', 'tree_version'):
            self.patch(assemble, name, lambda _: root)
        return compilers.Checked(base, 'x86_64', with_series, 'gcc')

    def test_stock_kernel_has_what_the_tests_need_but_no_tests(self):
        fragment = self.kernel(with_series=False).fragment()
        self.assertIn('CONFIG_NET=y\n', fragment)
        self.assertNotIn('DEMO_KUNIT_TEST', fragment)

    def test_patched_kernel_has_the_tests(self):
        self.assertIn('CONFIG_DEMO_KUNIT_TEST=y\n', self.kernel(with_series=True).fragment())

    def test_both_have_the_drivers_that_the_series_touches(self):
        for with_series in (True, False):
            self.assertIn('CONFIG_DRM_XE=m\n', self.kernel(with_series).fragment())

    def test_file_that_another_one_includes_is_not_compiled(self):
        (self.scratch / 'tests').mkdir()
        (self.scratch / 'demo.c').write_text('#include "tests/part.c"\n')
        self.assertTrue(compilers.is_included(self.scratch, 'tests/part.c'))
        self.assertFalse(compilers.is_included(self.scratch, 'tests/whole.c'))


class Everything(Case):
    def test_findings_of_other_modules_are_problems(self):
        for name in dir(check):
            if name.startswith('check_') and name != 'check_base':
                self.patch(check, name, lambda *arguments: [])
        for name in ('stock', 'patched'):
            self.patch(assemble, name, lambda base: self.scratch)
        self.patch(fetch, 'given', lambda: None)
        for module in (coccinelle, compilers, analysers):
            self.patch(module, 'check', lambda base, tree, *stock, name=module.__name__:
                       [f'{name} {tree}'])
        self.patch(bisect, 'check', lambda base: [f'{base.name} does not build'])
        base = types.SimpleNamespace(name='demo', point_releases=[])
        found = [f'harness.{name} {self.scratch}'
                 for name in ('coccinelle', 'compilers', 'analysers')]
        self.assertEqual(check.check_base(base),
                         [*found, 'demo does not build'])

    def test_repository(self):
        self.assertEqual(check.check_repository([Base(name) for name in base_names()]), [])

    def test_what_is_wrong_with_the_repository(self):
        self.patch(check, 'check_layout', lambda bases: ['layout'])
        self.patch(check, 'check_mail', lambda base: [f'{base.name} has no sender'])
        self.patch(analysers, 'check_project', lambda: ['pyflakes'])
        self.patch(readme, 'is_stale', lambda: True)
        self.patch(proof, 'problems', lambda base: [f'{base.name} unproven'])
        found = check.check_repository([types.SimpleNamespace(name='demo')])
        self.assertEqual(found[:2] + found[3:], ['layout', 'pyflakes', 'demo has no sender',
                                                 'demo unproven'])
        self.assertIn('README.md are stale', found[2])


class Tables(Case):
    def test_table_without_its_place(self):
        text = readme.README.read_text()
        self.assertEqual(readme.current(readme.current(text)), readme.current(text))
        for lost in ('<!-- cost -->', '<!-- end of results -->'):
            with self.assertRaises(Failure):
                readme.current(text.replace(lost, ''))


class Selftests(Case):
    OUTPUT = '''gcc -o dma_coherent dma_coherent.c
TAP version 13
1..2
# selftests: dma: dma_coherent
# ok 1 mapping.works # SKIP no /dev/edu_dma0
ok 1 selftests: dma: dma_coherent
# selftests: dma: dma_misuse
# ok 1 memory.works # SKIP need root
ok 2 selftests: dma: dma_misuse # SKIP
'''
    PROGRAMS = ('dma_coherent', 'dma_misuse')

    def test_programs_that_skip_with_a_reason(self):
        self.assertEqual(check.selftest_problems(self.OUTPUT, self.PROGRAMS), [])

    def test_each_thing_that_can_be_wrong_is_a_problem(self):
        for before, after in ((' no /dev/edu_dma0', ''), ('# ok 1 memory', '# not ok 1 memory'),
                              ('ok 2 selftests', 'not ok 2 selftests'), ('ok 1 selftests', 'ok'),
                              ('1..2', 'dma_coherent.c:1:1: warning: unused')):
            self.assertTrue(check.selftest_problems(self.OUTPUT.replace(before, after),
                                                    self.PROGRAMS), before)
