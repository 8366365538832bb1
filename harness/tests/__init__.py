# SPDX-License-Identifier: GPL-2.0
"""The harness's own tests: what a user sees when something is wrong."""

import contextlib
import io
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from harness import (analysers, assemble, bisect, boot, build, check, debian, fetch, history, mails,
                     mutate, neighbours, packages, passes, project, prove, suites, xen)

TOML = '''version = "{version}"
[[source]]
kind = "kernel.org"
url = "file:///nowhere"
file = "linux.tar"
sha256 = "0000"
'''

MAKEFILE = 'VERSION = {}\nPATCHLEVEL = {}\nSUBLEVEL = {}\n'

DRIVER = ''.join(f'line {number}\n' for number in range(1, 21))


def needs(program):
    return unittest.skipUnless(shutil.which(program), f'no {program}')


class Case(unittest.TestCase):
    """A scratch directory, and a cache that is not the user's."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = Path(scratch.name)
        self.cache = self.scratch / 'cache'
        self.cache.mkdir()
        for module in (analysers, assemble, bisect, boot, build, check, debian, fetch, history,
                       mails, mutate, neighbours, packages, passes, project, prove, suites, xen):
            self.patch(module, 'CACHE', self.cache)
        self.patch(os, 'environ', {name: value for name, value in os.environ.items()
                                   if name not in ('BASE', 'MACHINE', 'SUITE', 'PATCH', 'KERNEL',
                                                   'SIGNOFF', 'SANITIZE', 'RECORD', 'FILE', 'CHECK',
                                                   'MAKEFLAGS', 'MAKELEVEL')})
        output = io.StringIO()
        redirect = contextlib.redirect_stdout(output)
        redirect.__enter__()
        self.addCleanup(redirect.__exit__, None, None, None)
        self.output = output

    def patch(self, target, name, value):
        patcher = mock.patch.object(target, name, value)
        patcher.start()
        self.addCleanup(patcher.stop)

    def fails(self, words, function, *arguments):
        """The function fails with one message of one paragraph that has these words."""
        with self.assertRaises(project.Failure) as caught:
            function(*arguments)
        message = str(caught.exception)
        for word in [words] if isinstance(words, str) else words:
            self.assertIn(word, message)
        return message


class KernelCase(Case):
    """A miniature kernel 6.18.99, and a series of two patches for it."""

    def setUp(self):
        super().setUp()
        self.kernel = self.make_kernel('linux', 6, 18, 99)
        self.root = self.scratch / 'project'
        (self.root / 'series' / '6.18').mkdir(parents=True)
        (self.root / 'series' / '6.18' / 'base.toml').write_text(TOML.format(version='6.18.99'))
        (self.root / 'series' / '6.18' / 'series').write_text('# header stays\n')
        self.base = project.Base('6.18', self.root)
        os.environ['KERNEL'] = str(self.kernel)

        work = self.scratch / 'work'
        assemble.git(self.scratch, 'clone', '--quiet', str(self.kernel), str(work))
        assemble.git(work, 'tag', 'base')
        self.work = work
        ten = DRIVER.replace('line 10', 'line ten')
        self.change('driver: spell ten\n\nSome tools cannot read the digits of this one line, '
                    'so write the number as a word instead.', {'driver.c': ten})
        self.change('driver: add a test\n\nNothing tests the driver until now, and so nobody '
                    'would notice that it breaks.',
                    {'driver.c': ten.replace('line 3\n', 'line three\n'),
                     'tests/driver_kunit.c': 'a test\n'})
        self.write_back(work)

    def change(self, message, files):
        """Add a commit to the work tree."""
        for name, text in files.items():
            (self.work / name).parent.mkdir(parents=True, exist_ok=True)
            (self.work / name).write_text(text)
        assemble.git(self.work, 'add', '--all', '--force')
        assemble.git(self.work, 'commit', '--quiet', '--message', message)

    def commit(self, message, files):
        """Add a commit, and to the series its patch."""
        self.change(message, files)
        self.write_back(self.work)

    def write_back(self, tree):
        assemble.write_back([(self.base, assemble.read_commits(tree))])

    def make_kernel(self, name, *version):
        tree = self.scratch / name
        tree.mkdir()
        (tree / 'Makefile').write_text(MAKEFILE.format(*version))
        (tree / 'driver.c').write_text(DRIVER)
        (tree / '.gitignore').write_text('*\n')
        assemble.git(tree, 'init', '--quiet')
        assemble.git(tree, 'add', '--all', '--force')
        assemble.git(tree, 'commit', '--quiet', '--message', 'base')
        return tree

    def tarball(self, name, tree):
        archive = self.scratch / name
        subprocess.run(['tar', '--create', '--file', archive, '--exclude=.git', '--directory',
                        tree.parent, tree.name], check=True)
        return archive
