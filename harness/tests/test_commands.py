# SPDX-License-Identifier: GPL-2.0
import os
import subprocess
from unittest import mock

from harness import __main__ as commands
from harness import boot, build, fetch, project, shell, suites
from harness.tests import Case


class Configuration(Case):
    def kernel(self):
        kernel = build.Kernel.__new__(build.Kernel)
        kernel.name, kernel.arch, kernel.dir = 'demo', 'x86_64', self.scratch
        kernel.source = self.scratch / 'log'
        self.patch(build.Kernel, 'log', self.scratch / 'build.log')
        return kernel

    def test_option_that_the_kernel_does_not_take_is_named(self):
        kernel = self.kernel()
        kernel.fragment = lambda: 'CONFIG_A=y\n# CONFIG_C is not set\nCONFIG_B=y\n'
        self.patch(build, 'run', lambda *a, **k: None)
        (self.scratch / '.config').write_text('CONFIG_A=y\n')
        self.fails('the kernel does not take CONFIG_B=y;', kernel.configure)

    def pretend_to_be_an_architecture(self, fragment, config):
        kernel = self.kernel()
        kernel.wanted = lambda: 'CONFIG_A=y\nCONFIG_NODES=y\nCONFIG_NODES_TEST=y\n'
        self.patch(build, 'KCONFIG', self.scratch)
        (self.scratch / 'x86_64.config').write_text(fragment)
        (self.scratch / '.config').write_text(config)
        return kernel

    def test_what_an_architecture_does_not_have_is_not_asked_for(self):
        kernel = self.pretend_to_be_an_architecture(
            '# CONFIG_NODES is not set\n# CONFIG_NODES_TEST is not set\n', 'CONFIG_A=y\n')
        self.assertEqual(kernel.fragment(), 'CONFIG_A=y\n')
        kernel.check_configuration()

    def test_what_an_architecture_could_have_is_not_left_out(self):
        kernel = self.pretend_to_be_an_architecture(
            '# CONFIG_NODES is not set\n', 'CONFIG_A=y\nCONFIG_NODES_TEST=y\n'
            '# CONFIG_NODES is not set\n')
        self.fails('turns off CONFIG_NODES, which the kernel could have',
                   kernel.check_configuration)

    def test_kunitconfig_of_another_architecture_is_left_out(self):
        self.assertTrue(build.is_for('drivers/a/tests/.kunitconfig', 'x86_64'))
        self.assertTrue(build.is_for('drivers/a/tests/all.kunitconfig', 'x86_64'))
        self.assertTrue(build.is_for('drivers/a/tests/x86_64.kunitconfig', 'x86_64'))
        self.assertFalse(build.is_for('drivers/a/tests/arm64.kunitconfig', 'x86_64'))

    def test_warning_in_our_code_is_a_failure(self):
        kernel = self.kernel()

        def run(command, log, *arguments, **options):
            log.write_text('a.c:1: warning: unused\n')
        self.patch(build, 'run', run)
        self.fails('a.c:1: warning: unused', kernel.run_quietly, ['make'], 'test module')

    def test_shell_does_not_configure_the_build(self):
        build.os.environ.update({'KCFLAGS': '-O0', 'LLVM': '1', 'MAKEFLAGS': '-k'})
        environment = self.kernel().environment()
        self.assertEqual(environment['KCFLAGS'], '')
        self.assertNotIn('LLVM', environment)
        self.assertNotIn('MAKEFLAGS', environment)


class Suites(Case):
    def test_base_that_lacks_the_suite_is_left_out(self):
        bases = [project.Base(name) for name in project.base_names()]
        self.assertEqual([base.name for base in suites.bases_with('uverbs_dmabuf', bases)],
                         ['7.3'])
        self.assertEqual(suites.bases_with(None, bases), bases)
        self.fails('unknown SUITE=uverbs_dmabuf', suites.bases_with, 'uverbs_dmabuf', bases[:1])


class Shell(Case):
    def test_shell_needs_one_machine(self):
        for machines in ('', 'xen,x86_64-direct'):
            with mock.patch.dict(os.environ, MACHINE=machines):
                self.fails('give one MACHINE=', commands.start_shell)

    def test_shell_needs_one_base(self):
        with mock.patch.dict(os.environ, MACHINE='xen', BASE='6.18,7.3'):
            self.fails('give one BASE=', commands.start_shell)

    def test_what_is_booted_by_default_has_a_shell(self):
        known = project.load_toml(shell.BUSYBOX)
        self.assertEqual(set(known), {machine.arch for machine in project.machines()})
        for source in known.values():
            self.assertLessEqual({'kind', 'suite', 'package', 'file', 'member', 'sha256'},
                                 set(source))

    def test_architecture_without_a_shell_is_one_sentence(self):
        self.fails('no shell for s390x', shell.busybox, mock.Mock(arch='s390x'))

    def test_terminal_is_the_console(self):
        ran = []
        self.patch(boot, 'accelerator', lambda machine, image: 'tcg')
        self.patch(subprocess, 'run', lambda command: ran.append(command) or mock.Mock(returncode=0))
        boot.interact(project.Machine('x86_64-direct'), 'Image', 'initrd', '-- shell')
        self.assertIn('mon:stdio', ran[0])
        self.assertNotIn('-monitor', ran[0])
        self.assertTrue(ran[0][-1].endswith('-- shell'))

    def test_shell_is_in_the_initramfs(self):
        kernel = build.Kernel.__new__(build.Kernel)
        kernel.arch, kernel.dir = 'arm64', self.scratch
        packed = []
        kernel.pack = lambda name, extra: packed.append((name, extra))
        self.patch(fetch, 'member', lambda source: b'program')
        shell.pack(kernel)
        self.assertEqual((self.scratch / 'busybox').read_bytes(), b'program')
        self.assertIn(f'file /bin/busybox {self.scratch}/busybox 0755 0 0', packed[0][1])
