# SPDX-License-Identifier: GPL-2.0
import os
import shutil

from harness import packages
from harness.tests import Case

NOT_THERE = {'no-such-cross-gcc': 'gcc-cross', '/no/such/header.h': 'some-dev'}


class Packages(Case):
    def test_missing_cross_compiler_without_root_says_what_to_install(self):
        there = shutil.which
        self.patch(shutil, 'which',
                   lambda name: None if name == 'aarch64-linux-gnu-gcc' else there(name) or name)
        self.patch(os, 'geteuid', lambda: 1000)
        message = self.fails(['missing', 'gcc-aarch64-linux-gnu', 'apt-get update && apt-get install',
                              'as root'], packages.ensure, packages.ARCH['arm64'])
        self.assertNotIn('\n', message)

    def test_without_apt_says_what_is_missing(self):
        self.patch(shutil, 'which', lambda name: None)
        self.fails('missing gcc-cross, some-dev', packages.ensure, NOT_THERE)

    def test_root_installs_what_is_missing_and_nothing_else(self):
        commands = []
        self.patch(os, 'geteuid', lambda: 0)
        self.patch(packages, 'run', lambda command, *a, **k: commands.append(command))
        self.patch(packages, 'missing', lambda needed: [] if len(commands) == 2 else
                   sorted(set(needed.values()) & {'flex', 'ccache'}))
        packages.ensure(packages.BUILD)
        self.assertEqual([command[1] for command in commands], ['update', 'install'])
        self.assertEqual(commands[1][-2:], ['ccache', 'flex'])

    def test_optional_packages_alone_are_no_reason_to_install(self):
        self.patch(packages, 'run', None)
        self.patch(packages, 'missing', lambda needed: [name for name in needed if name == 'ccache'])
        packages.ensure(packages.BUILD)

    def test_unknown_architecture_is_one_sentence(self):
        self.fails('unknown architecture vax', packages.for_arch, 'vax')

    def test_install_that_does_not_help_is_a_failure(self):
        self.patch(os, 'geteuid', lambda: 0)
        self.patch(packages, 'run', lambda *a, **k: None)
        self.patch(shutil, 'which', lambda name: '/usr/bin/apt-get' if name == 'apt-get' else None)
        self.fails('still missing', packages.ensure, NOT_THERE)

    def test_every_architecture_has_an_emulator(self):
        for arch, table in packages.ARCH.items():
            self.assertTrue(any(name.startswith('qemu-system-') for name in table), arch)
