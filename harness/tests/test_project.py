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

    def test_machines_that_are_slow_are_booted_if_asked_for(self):
        os.environ.pop('MACHINE', None)
        default = {machine.name for machine in project.machines()}
        self.assertIn('x86_64-direct', default)
        self.assertNotIn('i386-direct', default)
        os.environ['MACHINE'] = 'i386-*'
        self.assertEqual({machine.arch for machine in project.machines()}, {'i386'})
        os.environ['MACHINE'] = '*'
        self.assertEqual([machine.name for machine in project.machines()],
                         project.machine_names())

    def test_machine_says_when_it_is_booted(self):
        (self.scratch / 'machines').mkdir()
        (self.scratch / 'machines' / 'slow.toml').write_text(
            'arch = "vax"\npurpose = "none"\nqemu = []\nwhen = "never"\n')
        self.patch(project, 'ROOT', self.scratch)
        self.fails('slow.toml: "when" is one of always, verify', project.Machine, 'slow')

    def test_entry_that_lacks_something_is_one_sentence(self):
        (self.scratch / 'series' / 'demo').mkdir(parents=True)
        path = self.scratch / 'series' / 'demo' / 'base.toml'
        text = 'version = "1.2.3"\nsource = []\n[[unneeded]]\npatch = "a"\nfile = "b"\nhas = "c"\n'
        path.write_text(text)
        self.fails('needs patch, file, has, and commit or because', project.Base, 'demo',
                   self.scratch)
        path.write_text(text + 'because = "d"\n')
        self.assertEqual(project.Base('demo', self.scratch).unneeded[0]['because'], 'd')

    def test_missing_kernel_is_one_sentence(self):
        done = self.command('tree', 'BASE=6.18', 'KERNEL=/nonexistent')
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('error: KERNEL=/nonexistent does not exist\n', done.stderr)

    def test_truncated_tarball_is_one_sentence(self):
        archive = self.scratch / 'linux.tar'
        archive.write_bytes(b'\x1f\x8b' + bytes(500))
        done = self.command('tree', 'BASE=6.18', f'KERNEL={archive}')
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('linux.tar cannot be unpacked, it is truncated', done.stderr)

    def test_missing_cross_compiler_without_root_is_one_sentence(self):
        code = ('import os, runpy, shutil, sys; os.geteuid = lambda: 1000\n'
                'which = shutil.which\n'
                'shutil.which = lambda name: None if "aarch64" in name else which(name)\n'
                'sys.argv = ["harness", "test"]\n'
                'runpy.run_module("harness", run_name="__main__")')
        done = subprocess.run([sys.executable, '-c', code], cwd=project.ROOT, capture_output=True,
                              text=True, env={**os.environ, 'MACHINE': 'arm64-direct',
                                              'XDG_CACHE_HOME': str(self.scratch)})
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r'\Aerror: missing .*gcc-aarch64-linux-gnu.*as root\n\Z')

    def test_malformed_description_is_one_sentence(self):
        (self.scratch / 'bad.toml').write_text('version = \n')
        self.fails('bad.toml: Invalid value', project.load_toml, self.scratch / 'bad.toml')
        (self.scratch / 'bad.toml').write_text('version = "1"\n')
        self.fails('does not say what is its source', project.load_toml,
                   self.scratch / 'bad.toml', 'version', 'source')

    def test_steps_check_their_arguments(self):
        done = subprocess.run([sys.executable, '-m', 'harness.build'], cwd=project.ROOT,
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn('error: expected arguments: (name, arch', done.stderr)

    def test_git_hook_does_not_redirect_git(self):
        code = 'import harness.project, os; print(os.environ.get("GIT_DIR"))'
        done = subprocess.run([sys.executable, '-c', code], cwd=project.ROOT, capture_output=True,
                              text=True, env={**os.environ, 'GIT_DIR': '/elsewhere'})
        self.assertEqual(done.stdout, 'None\n')

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


class WrongKernel(KernelCase):
    def test_patch_that_does_not_apply_is_one_sentence(self):
        done = subprocess.run(['make', 'series', 'BASE=6.18', f'KERNEL={self.kernel}'],
                              cwd=project.ROOT, capture_output=True, text=True,
                              env={**os.environ, 'XDG_CACHE_HOME': str(self.cache)})
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stderr, r'error: series/6.18/0001-\S+ does not apply to '
                                      r'Linux 6.18.99: error: \S+: No such file')


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
