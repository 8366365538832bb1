# SPDX-License-Identifier: GPL-2.0
"""When a kernel is built, and when what is there already will do."""

import tempfile
import unittest
from pathlib import Path
from unittest import mock

from harness import build


class BuildTest(unittest.TestCase):

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.kernel = build.Kernel.__new__(build.Kernel)
        self.kernel.dir = Path(scratch.name)
        self.kernel.image = self.kernel.dir / 'Image'
        self.kernel.arch = 'x86_64'
        self.kernel.log = self.kernel.dir / 'log'
        self.kernel.name = 'Linux'
        self.kernel.source = self.kernel.dir
        self.stamp = 'commit, compiler and configuration'
        for name in ('configure', 'stamp'):
            self.enterContext(mock.patch.object(self.kernel, name, lambda: self.stamp))
        self.enterContext(mock.patch('harness.packages.for_arch'))
        self.made = self.enterContext(mock.patch(
            'harness.build.run', side_effect=lambda *_, **__: self.kernel.image.write_text('good')))

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


if __name__ == '__main__':
    unittest.main()
