# SPDX-License-Identifier: GPL-2.0
import os
import subprocess
import types

from harness import build, coverage
from harness.boot import Boot
from harness.tests import Case, KernelCase

DRIVER = '''\
#include "driver.h"

static int refuse(int value)
{
	if (value > 2 &&
	    value & 1)
		return -1;
	return clamp_value(value);
}

#ifdef NEVER
static int never(void)
{
	return 1;
}
#endif

int main(void)
{
	return refuse(1) + refuse(3);
}
'''

HEADER = '''\
static inline int clamp_value(int value)
{
	if (value < 0)
		return 0;
	return value;
}

static inline int stub(void) { return 0; }
'''


class Counted(Case):
    """A program in place of a kernel: it writes its counts when it ends."""

    def setUp(self):
        super().setUp()
        self.source = self.scratch / 'linux'
        self.dir = self.source / 'build'
        (self.dir / 'drivers').mkdir(parents=True)
        (self.source / 'drivers').mkdir()
        self.write('drivers/driver.c', DRIVER)
        self.write('drivers/driver.h', HEADER)
        subprocess.run(['gcc', *coverage.FLAGS.split(), '-O2', '-c', '-o', 'drivers/driver.o',
                        '../drivers/driver.c'], cwd=self.dir, check=True)
        subprocess.run(['gcc', '--coverage', '-o', 'program', 'drivers/driver.o'], cwd=self.dir,
                       check=True)
        subprocess.run(['./program'], cwd=self.dir)
        self.kernel = types.SimpleNamespace(arch='x86_64', dir=self.dir, source=self.source)
        self.machine = types.SimpleNamespace(name='demo')
        self.base = types.SimpleNamespace(name='6.18', dir=self.scratch / 'series')
        self.base.dir.mkdir()

    def write(self, name, text):
        (self.source / name).write_text(text)

    def log(self, drop=None):
        path = self.dir / 'drivers' / 'driver.gcda'
        data = path.read_bytes().hex()
        lines = [f'[    1.0] harness: gcov {data[at:at + 100]}' for at in range(0, len(data), 100)]
        if drop is not None:
            del lines[drop]
        lines.append(f'[    1.0] harness: gcov end {path} {len(data) // 2}')
        log = self.scratch / 'log'
        log.write_text('\n'.join(lines) + '\n')
        return Boot(log)

    def counts(self, *arches):
        counts = coverage.Counts()
        for arch in arches or ['x86_64']:
            self.kernel.arch = arch
            self.patch(build, 'ARCH', {arch: {'cross': ''}})
            for document in coverage.gcov(self.kernel, self.machine, self.log()):
                counts.add(self.kernel, self.machine, document)
        return counts

    def judge(self, toml='', added=None):
        added = added or {name: {number: line.strip() for number, line in enumerate(
            (self.source / name).read_text().splitlines(), 1)}
            for name in ('drivers/driver.c', 'drivers/driver.h')}
        self.patch(coverage, 'added_lines', lambda tree: added)
        if toml:
            (self.base.dir / 'coverage.toml').write_text(toml)
        return coverage.Coverage(self.base, self.source, self.counts())

    def test_part_of_the_counts_is_not_taken_for_all(self):
        self.fails('has only part of', coverage.files_in, self.log(drop=1))
        self.scratch.joinpath('log').write_text('harness: done\n')
        self.fails('has no counts', coverage.files_in, Boot(self.scratch / 'log'))

    def test_counts_of_another_build_are_refused(self):
        self.write('drivers/driver.c', DRIVER + '\nint more(int a) { return a ? 3 : 4; }\n')
        log = self.log()
        subprocess.run(['gcc', *coverage.FLAGS.split(), '-O2', '-c', '-o', 'drivers/driver.o',
                        '../drivers/driver.c'], cwd=self.dir, check=True)
        self.fails('gcov for demo: ', coverage.gcov, self.kernel, self.machine, log)

    def test_what_did_not_run_is_named(self):
        self.assertEqual([str(hole) for hole in self.judge().holes], [
            'drivers/driver.c:6: 1 of 2 branches not taken (0 1): value & 1)',
            'drivers/driver.c:12: no machine compiles never()',
            'drivers/driver.h:3: 1 of 2 branches not taken (0 1): if (value < 0)',
            'drivers/driver.h:4: return 0;',
            'drivers/driver.h:8: no machine compiles stub()'])

    def test_machines_and_architectures_add_up(self):
        self.assertEqual(self.counts().branches('drivers/driver.c', 5), (1, 1))
        self.assertEqual(self.counts('x86_64', 'arm64').branches('drivers/driver.c', 5), (2, 2))
        self.assertEqual(self.counts('x86_64', 'x86_64').branches('drivers/driver.c', 5), (2, 2))

    def test_the_copy_with_most_branches_counts(self):
        counts = coverage.Counts()
        counts.copies['a.h', 1] = {'one': [5, [5, 0]], 'two': [0, [0, 0, 0, 0]],
                                   'three': [2, [0, 1, 1, 0]], 'folded': [1, []]}
        self.assertEqual(counts.branches('a.h', 1), (0, 1, 1, 0))
        self.assertEqual(counts.count('a.h', 1), 8)

    def test_only_lines_that_are_added_count(self):
        found = self.judge(added={'drivers/driver.c': {8: 'return clamp_value(value);'}})
        self.assertEqual(found.problems(), [])
        self.assertEqual(found.sentence(),
                         '6.18: 1 of 1 added lines and 0 of 0 branches run by a test')

    def test_a_file_that_no_machine_compiles_needs_a_reason(self):
        self.write('other.c', DRIVER)
        added = {'other.c': {7: 'return -1;'}}
        found = self.judge(added=added)
        self.assertEqual([str(hole) for hole in found.holes],
                         ['other.c: no machine compiles it'])
        self.assertEqual(len(found.problems()), 1)
        found = self.judge('[[unrun]]\nfile = "other.c"\nreason = "no hardware"\n', added)
        self.assertEqual(found.problems(), [])
        self.assertIn('1 files or functions that no machine compiles with a reason',
                      found.sentence())

    def test_every_hole_needs_a_reason_of_its_own(self):
        path = 'file = "drivers/driver.c"\nreason = "a"\nfunction = '
        header = path.replace('.c', '.h')
        toml = (f'[[unrun]]\n{path}"refuse"\nline = "value & 1)"\nbranches = 1\n'
                f'[[unrun]]\n{path}"never"\n'
                f'[[unrun]]\n{header}"clamp_value"\nline = "return 0;"\n'
                f'[[unrun]]\n{header}"stub"\n')
        found = self.judge(toml)
        self.assertEqual([line.partition('reason: ')[2] for line in found.problems()],
                         ['drivers/driver.h:3: 1 of 2 branches not taken (0 1): if (value < 0)'])
        toml += f'[[unrun]]\n{header}"clamp_value"\nline = "if (value < 0)"\nbranches = 1\n'
        found = self.judge(toml)
        self.assertEqual(found.problems(), [])
        self.assertIn(' and 4 of 6 branches run by a test, '
                      '1 lines and 2 branches with a reason, '
                      '2 files or functions that no machine compiles with a reason',
                      found.sentence())
        # Once is enough, and each is needed.
        self.assertEqual(len(self.judge(toml + toml[:toml.index('[[', 2)]).problems()), 1)
        self.assertEqual(len(self.judge(toml.replace('branches = 1', 'branches = 2', 1))
                             .problems()), 2)

    def test_a_function_that_runs_has_no_reason_as_a_whole(self):
        found = self.judge('[[unrun]]\nfile = "drivers/driver.h"\nfunction = "clamp_value"\n'
                           'reason = "a"\n')
        self.assertEqual(len(found.problems()), 6)
        self.assertIn('is not needed: drivers/driver.h, clamp_value()', found.problems()[-1])

    def test_an_entry_that_says_too_much_or_too_little_is_refused(self):
        path = self.base.dir / 'coverage.toml'
        path.write_text('[[unrun]]\nfile = "a.c"\n')
        self.fails('the entry for a.c lacks or should not have reason', coverage.reasons, self.base)
        path.write_text('[[unrun]]\nfile = "a.c"\nreason = "a"\nnumber = 3\n')
        self.fails('the entry for a.c lacks or should not have number', coverage.reasons, self.base)


class Source(KernelCase):
    def test_branches_of_macros_do_not_count(self):
        for line in ('if (WARN_ON_ONCE(a))', 'dev_WARN_ONCE(dev, a, "b");', 'BUG_ON(a);',
                     'pr_warn_once("a");', 'dev_warn_ratelimited(dev, "a");',
                     'dma = kzalloc(size, GFP_KERNEL);'):
            self.assertTrue(coverage.MACROS.search(line), line)
        for line in ('if (a)', 'value & 1)', 'if (!warned)', 'return a ? b : c;'):
            self.assertFalse(coverage.MACROS.search(line), line)

    def test_functions_are_found(self):
        found = coverage.functions('''\
/* int comment(void)
{
}
*/
struct driver {
	int a;
};

static const struct ops ops = {
	.call = call,
};

int __init
first(int a,
      int b)
{
	if (a) {
		return b;
	}
	return 0;
}

static inline void none(void) { }
static inline int one(void) { return 1; }
''')
        self.assertEqual({number: function.name for number, function in found.items()},
                         {**{number: 'first' for number in range(13, 22)}, 24: 'one'})

    def test_added_lines_are_those_of_kernel_code(self):
        os.environ.pop('KERNEL')
        self.change('more', {'tools/a.c': 'int a;\n', 'driver.h': 'int a;\nint b;\n'})
        self.assertEqual(coverage.added_lines(self.work), {
            'driver.c': {3: 'line three', 10: 'line ten'},
            'driver.h': {1: 'int a;', 2: 'int b;'}})

    def test_each_line_has_its_patch(self):
        of = coverage.patch_of_lines(self.base, self.work, 'driver.c')
        self.assertEqual(of, {3: '0002-driver-add-a-test.patch', 10: '0001-driver-spell-ten.patch'})

    def test_a_patch_is_tested_where_its_lines_run(self):
        counts = coverage.Counts()
        counts.machines['driver.c', 10] = {'demo'}
        self.patch(coverage, 'functions', lambda text: {3: 'call', 10: 'call'})
        self.assertEqual(coverage.tested_on(self.base, self.work, counts), {
            '0001-driver-spell-ten.patch': {'demo'}, '0002-driver-add-a-test.patch': set()})
        # In a file that is compiled, only what is counted: this one is a label.
        counts.copies['driver.c', 10] = {}
        self.assertEqual(coverage.tested_on(self.base, self.work, counts), {
            '0001-driver-spell-ten.patch': {'demo'}})
