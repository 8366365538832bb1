# SPDX-License-Identifier: GPL-2.0
import os
import subprocess
import sys

from harness import project
from harness.tests import Case, KernelCase


class Asking(Case):
    def command(self, *arguments, **environment):
        return subprocess.run(['make', '--no-print-directory', *arguments], cwd=project.ROOT,
                              env={**os.environ, 'XDG_CACHE_HOME': str(self.scratch), **environment},
                              capture_output=True, text=True)

    def test_unknown_base_is_one_sentence(self):
        for target in ('run', 'test', 'tree', 'refresh', 'series', 'check'):
            done = self.command(target, 'BASE=9.9')
            self.assertNotEqual(done.returncode, 0)
            self.assertIn('error: unknown BASE=9.9: choose one of 6.18, 7.3\n', done.stderr)

    def test_unknown_machine_is_one_sentence(self):
        for target in ('run', 'test'):
            done = self.command(target, 'MACHINE=vax')
            self.assertNotEqual(done.returncode, 0)
            self.assertIn('error: unknown MACHINE=vax: choose one of arm64-direct', done.stderr)

    def test_unknown_suite_is_one_sentence(self):
        done = self.command('test', 'SUITE=nonesuch')
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('error: unknown SUITE=nonesuch: choose one of ', done.stderr)

    def test_missing_kernel_is_one_sentence(self):
        done = self.command('tree', 'BASE=6.18', 'KERNEL=/nonexistent')
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('error: KERNEL=/nonexistent does not exist\n', done.stderr)

    def test_old_python_is_named(self):
        code = ('import sys; sys.modules["tomllib"] = None; sys.path.insert(0, ".")\n'
                'import harness.project')
        done = subprocess.run([sys.executable, '-c', code], cwd=project.ROOT, capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn('is too old: this needs Python 3.11', done.stderr)

    def test_help_names_every_target(self):
        help_text = self.command('help').stdout
        for target in ('run', 'test', 'tree', 'refresh', 'series', 'check'):
            self.assertIn(f'make {target}', help_text)


class Series(KernelCase):
    def test_reads_patches_with_their_files(self):
        self.assertEqual(self.base.series(),
                         [('0001-driver-spell-ten.patch', []),
                          ('0002-driver-add-a-test.patch', ['tests/driver_kunit.c'])])

    def test_malformed_line_is_named(self):
        (self.base.dir / 'series').write_text('0001-a.patch 0002-b.patch\n')
        self.fails(['series:1: expected', '0001-a.patch 0002-b.patch'], self.base.series)

    def test_missing_patch_is_named(self):
        (self.base.dir / '0001-driver-spell-ten.patch').unlink()
        self.fails('0001-driver-spell-ten.patch, which does not exist', self.base.digest)

    def test_digest_follows_content(self):
        before = self.base.digest()
        (self.root / 'tests' / 'driver_kunit.c').write_text('another test\n')
        self.assertNotEqual(self.base.digest(), before)


class Running(Case):
    def test_failure_shows_the_telling_lines_and_the_log(self):
        log = self.scratch / 'log'
        script = 'echo before; echo "x.c:1: error: no such thing"; echo after; exit 3'
        message = self.fails(['compile failed', str(log), 'error: no such thing'], project.run,
                             ['sh', '-c', script], log, 'compile', True)
        self.assertNotIn('before', message)

    def test_short_command_reports_its_last_words(self):
        self.fails(['sh -c', 'too bad'], project.output_of, ['sh', '-c', 'echo too bad >&2; exit 1'])
