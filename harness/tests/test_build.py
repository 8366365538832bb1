# SPDX-License-Identifier: GPL-2.0
"""When a kernel is built, and when what is there already will do."""

from unittest import mock

from harness import build, compilers, packages
from harness.tests import Case


class Architectures(Case):
    def test_who_compiles_a_file(self):
        self.assertIsNone(build.only_for('kernel/dma/direct.c'))
        self.assertEqual(build.only_for('arch/sparc/kernel/iommu.c'), 'sparc64')
        self.assertEqual(build.only_for('arch/x86/kernel/amd_gart_64.c'), 'x86_64')
        self.fails('does not know', build.only_for, 'arch/vax/kernel/iommu.c')

    def test_what_an_architecture_compiles(self):
        base = mock.Mock(new_files=lambda: [], series=lambda: [])
        for arch, built in (('sparc64', True), ('x86_64', False)):
            self.assertEqual(
                compilers.is_compiled(base, 'arch/sparc/kernel/iommu.c', arch), built)
        self.assertTrue(compilers.is_compiled(base, 'arch/x86/kernel/pci-dma.c', 'i386'))


class Building(Case):
    def setUp(self):
        super().setUp()
        self.patch(build.Kernel, 'image', self.scratch / 'Image')
        self.patch(build.Kernel, 'log', self.scratch / 'log')
        self.kernel = build.Kernel.__new__(build.Kernel)
        self.kernel.dir = self.kernel.source = self.scratch
        self.kernel.arch, self.kernel.name = 'x86_64', 'Linux'
        self.stamp = 'commit, compiler and configuration'
        for name in ('configure', 'stamp'):
            self.patch(self.kernel, name, lambda: self.stamp)
        self.patch(packages, 'for_arch', lambda arch: None)
        self.made = mock.Mock(side_effect=lambda *_, **__: self.kernel.image.write_text('good'))
        self.patch(build, 'run', self.made)

    def test_builds_once(self):
        self.kernel.build()
        self.kernel.build()
        self.assertEqual(self.made.call_count, 1)

    def test_builds_again_when_what_goes_in_has_changed(self):
        self.kernel.build()
        self.stamp = 'another commit'
        self.kernel.build()
        self.assertEqual(self.made.call_count, 2)

    def test_does_not_boot_an_image_that_somebody_else_made(self):
        self.kernel.build()
        self.kernel.image.write_text('made by hand from sources that were changed')
        self.kernel.build()
        self.assertEqual(self.kernel.image.read_text(), 'good')

    def test_builds_what_has_been_removed(self):
        self.kernel.build()
        self.kernel.image.unlink()
        self.kernel.build()
        self.assertEqual(self.kernel.image.read_text(), 'good')
