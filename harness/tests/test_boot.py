# SPDX-License-Identifier: GPL-2.0
import os
import types

from harness import boot, build, packages, project, xen
from harness.tests import Case


class Boot(Case):
    def setUp(self):
        super().setUp()
        self.log = self.scratch / 'log'
        self.machine = types.SimpleNamespace(
            name='demo', arch='x86_64', qemu=['-machine', 'q35'], append='swiotlb=force',
            hypervisor=None)

    def test_end_is_told_from_timeout(self):
        self.assertIsNone(boot.start(['true'], self.log, 10))
        self.assertIn('did not power off within', boot.start(['sleep', '60'], self.log, 0.1))

    def test_emulator_that_fails_is_quoted(self):
        wrong = boot.start(['sh', '-c', 'echo cannot set up guest memory; exit 1'], self.log, 10)
        self.assertEqual(wrong, 'sh ended with status 1: cannot set up guest memory')

    def test_some_at_a_time_are_in_order_and_end_with_one(self):
        ended = []
        self.patch(boot, 'end_all', lambda: ended.append(True))
        self.assertEqual(list(boot.some_at_a_time(str, [3, 1, 2])), ['3', '1', '2'])
        self.assertEqual(ended, [])
        with self.assertRaises(ValueError):
            list(boot.some_at_a_time(int, ['1', 'x']))
        self.assertEqual(ended, [True])

    def test_output_is_kept(self):
        boot.start(['sh', '-c', 'echo out; echo err >&2'], self.log, 10)
        self.assertEqual(self.log.read_text(), 'out\nerr\n')

    def test_carriage_returns_make_no_lines(self):
        self.log.write_bytes(b'one\r\ntwo\r\r\nthree\n')
        self.assertEqual(boot.Boot(self.log).lines(), ['one', 'two', 'three'])

    def test_line_that_was_cut_short_counts_once(self):
        self.log.write_text('ok 1 a\nok 2 lo\n** replaying previous printk message **\n'
                            'ok 2 long\n** replaying previous printk message **\nok 3 c\n')
        self.assertEqual(boot.Boot(self.log).lines(), ['ok 1 a', 'ok 2 long', 'ok 3 c'])

    def test_machine_is_what_its_description_says(self):
        command = boot.qemu(self.machine, 'tcg', 'Image', 'initrd', 'more=1')
        self.assertEqual(command[:3], ['qemu-system-x86_64', '-accel', 'tcg'])
        self.assertIn('q35', command)
        self.assertTrue(command[-1].startswith('console=ttyS0'))
        self.assertTrue(command[-1].endswith('swiotlb=force more=1'))

    def test_every_machine_has_a_kernel_and_its_packages(self):
        self.patch(xen, 'image', lambda source: 'xen')
        for machine in map(project.Machine, project.machine_names()):
            self.assertIn('image', build.ARCH[machine.arch], machine.name)
            command = boot.qemu(machine, 'tcg', 'Image', None, '')
            needed = packages.ARCH[machine.arch]
            self.assertIn(command[0], needed, machine.name)
            cross = build.ARCH[machine.arch]['cross']
            self.assertTrue(not cross or cross + 'gcc' in needed, machine.name)

    def test_32_bits_run_on_64(self):
        self.pretend_kvm(None, b'Kernel panic')
        self.machine.arch = 'i386'
        self.assertEqual(boot.accelerator(self.machine, 'Image'), 'kvm')

    def test_hypervisor_is_started_with_the_kernel_as_its_module(self):
        self.machine.hypervisor = {'append': 'dom0_mem=1G'}
        self.patch(xen, 'image', lambda source: 'xen')
        options = boot.load(self.machine, 'Image', 'initrd', 'a=1,2')
        self.assertEqual(options, ['-kernel', 'xen', '-initrd', 'Image a=1,,2,initrd',
                                   '-append', 'dom0_mem=1G'])
        self.assertIn('console=hvc0', boot.qemu(self.machine, 'tcg', 'Image', None, '')[-3])

    def pretend_kvm(self, wrong, output):
        trials = []

        def start(command, log, timeout):
            trials.append(command)
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_bytes(output)
            return wrong
        self.patch(boot, 'start', start)
        self.patch(os, 'access', lambda *arguments: True)
        self.patch(os, 'uname', lambda: types.SimpleNamespace(machine='x86_64'))
        return trials

    def test_kvm_is_used_after_a_trial_and_tried_once(self):
        trials = self.pretend_kvm(None, b'Kernel panic - not syncing')
        self.assertEqual(boot.accelerator(self.machine, 'Image'), 'kvm')
        self.assertEqual(boot.accelerator(self.machine, 'Image'), 'kvm')
        self.assertEqual(len(trials), 1)
        self.assertEqual(trials[0][2], 'kvm')

    def test_kvm_that_hangs_is_not_used(self):
        self.pretend_kvm('did not power off', b'')
        self.assertEqual(boot.accelerator(self.machine, 'Image'), 'tcg')

    def test_kvm_that_ends_at_once_is_not_used(self):
        self.pretend_kvm(None, b'nothing to see')
        self.assertEqual(boot.accelerator(self.machine, 'Image'), 'tcg')

    def test_other_architectures_are_emulated(self):
        self.pretend_kvm(None, b'Kernel panic')
        self.machine.arch = 'arm64'
        self.assertEqual(boot.accelerator(self.machine, 'Image'), 'tcg')

    def test_missing_image_is_one_sentence(self):
        self.fails('/nonexistent does not exist: build it', boot.command, 'x86_64-direct',
                   '/nonexistent')
