# SPDX-License-Identifier: GPL-2.0
import types

from harness import architectures, assemble, build, compilers, packages, project
from harness.tests import Case, needs

MAKEFILE = '''obj-$(CONFIG_DEMO) += demo.o
obj-$(CONFIG_DEMO_TEST) += tests/demo_kunit.o
obj-$(CONFIG_OTHER) += other.o
demo-y := one.o
demo-$(CONFIG_OTHER) += two.o
demo-$(CONFIG_PART) += ../part/three.o
generated.h: missing.h
'''


class Enabled(Case):
    """Which objects a configuration has is what kbuild says."""

    SOURCES = ['drivers/demo/one.c', 'drivers/demo/two.c', 'drivers/demo/other.c',
               'drivers/demo/tests/demo_kunit.c', 'drivers/demo/included.c', 'drivers/part/three.c']

    def kernel(self, **options):
        base = types.SimpleNamespace(name='demo', dir=self.scratch, new_files=lambda: [])
        self.patch(assemble, 'patched', lambda _: self.scratch)
        self.patch(assemble, 'tree_version', lambda _: '6.18.99')
        demo = self.scratch / 'drivers' / 'demo'
        (demo / 'tests').mkdir(parents=True)
        (demo / 'Makefile').write_text(MAKEFILE)
        (self.scratch / 'scripts').mkdir()
        (self.scratch / 'scripts' / 'Kbuild.include').write_text('')
        kernel = compilers.Partial(base, 'x86_64')
        (kernel.dir / 'include' / 'config').mkdir(parents=True)
        (kernel.dir / 'include' / 'config' / 'auto.conf').write_text(
            ''.join(f'CONFIG_{name}={value}\n' for name, value in options.items()))
        return kernel

    @needs('make')
    def test_parts_of_what_is_on(self):
        self.assertEqual(self.kernel(DEMO='y', DEMO_TEST='m').enabled(self.SOURCES),
                         ['drivers/demo/one.o', 'drivers/demo/tests/demo_kunit.o'])

    @needs('make')
    def test_parts_of_modules(self):
        self.assertEqual(self.kernel(DEMO='m', OTHER='y').enabled(self.SOURCES),
                         ['drivers/demo/one.o', 'drivers/demo/other.o', 'drivers/demo/two.o'])

    @needs('make')
    def test_parts_that_lie_next_door(self):
        self.patch(compilers, 'TAKEN_IN', {'drivers/part': 'drivers/demo/../part'})
        self.assertEqual(self.kernel(DEMO='y', PART='y').enabled(self.SOURCES),
                         ['drivers/demo/../part/three.o', 'drivers/demo/one.o'])

    def compile(self, log):
        kernel = self.kernel()

        def run(command, path, *arguments, **options):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(log)
            raise project.Failure('make failed')
        self.patch(compilers, 'run', run)
        return kernel.compile(['demo.o'])

    def test_error_in_a_file_is_something_to_compare(self):
        self.assertIn('no such field', self.compile('../demo.c:1:2: error: no such field\n'))

    def test_other_failures_are_none_of_the_series(self):
        self.fails('make failed', self.compile, 'make: *** No rule to make target\n')


class Architectures(Case):
    def test_each_has_a_compiler_and_a_configuration(self):
        for arch in architectures.ARCH:
            self.assertTrue((build.KCONFIG / f'{arch}.config').exists(), arch)
            self.assertIn(build.ARCH[arch]['cross'] + 'gcc', packages.CROSS)

    def test_each_is_compiled_once(self):
        self.assertEqual(sorted([*architectures.ARCH, *compilers.ARCH]), sorted(build.ARCH))

    def test_only_what_the_series_brings_is_a_problem(self):
        said = {True: '../a.c:2:1: warning: old\n../a.c:1:1: warning: size_t\n',
                False: '../a.c:1:1: warning: old\n'}
        asked = []

        def compiled(base, arch, with_series, sources):
            asked.append(sources)
            return ['a.o'], lost[with_series], said[with_series]
        lost = {True: ['b.o', 'c.o'], False: ['c.o']}
        self.patch(architectures, 'compiled', compiled)
        self.patch(compilers, 'touched_sources', lambda tree: ['a.c', 'new.c'])
        base = types.SimpleNamespace(name='demo', new_files=lambda: ['new.c'])
        self.assertEqual(architectures.check(base, self.scratch, ['arm']),
                         (['demo arm: b.o is not compiled', 'demo arm: a.c: warning: size_t'],
                          {'arm': 1}))
        self.assertEqual(asked, [['a.c', 'new.c'], ['a.c']])

    def test_objects_that_are_not_made(self):
        class Kernel:
            name, dir = 'demo for arm', self.scratch

            def __init__(self, *_):
                pass

            def prepare(self):
                pass

            def enabled(self, sources):
                return [name.replace('.c', '.o') for name in sources]

            def compile(self, objects):
                (self.dir / objects[0]).touch()
                return 'b.c:1:1: error: no'

            def divisions(self, objects):
                return ''
        self.patch(architectures, 'Elsewhere', Kernel)
        self.assertEqual(architectures.compiled(None, 'arm', True, ['a.c', 'b.c'])[:2],
                         (['a.o'], ['b.o']))
        self.fails('demo for arm compiles none', architectures.compiled, None, 'arm', True, [])

    def test_division_that_no_kernel_has(self):
        base = types.SimpleNamespace(name='demo', dir=self.scratch, new_files=lambda: [])
        self.patch(assemble, 'patched', lambda _: self.scratch)
        self.patch(assemble, 'tree_version', lambda _: '6.18.99')
        self.patch(architectures, 'output_of',
                   lambda command: '         U __udivdi3\n00000000 T __divdi3_user\n')
        kernel = architectures.Elsewhere(base, 'i386')
        self.assertEqual(kernel.divisions(['a.o']),
                         'a.o: error: __udivdi3 is not in a kernel\n')

    def test_unknown_architecture_is_one_sentence(self):
        self.fails('unknown architecture vax', architectures.command, '6.18', 'vax')
