# SPDX-License-Identifier: GPL-2.0
import gzip
import subprocess

from harness import fetch, project, xen
from harness.tests import Case

CONTROL = '''Package: hypervisor
Version: 1
Architecture: all
Maintainer: nobody <nobody@localhost.invalid>
Description: stands in for Xen
'''


class Xen(Case):
    def setUp(self):
        super().setUp()
        self.archive = self.make_package('package', gzip.compress(b'Xen'))
        self.source = {'kind': 'debian-binary', 'suite': 'stable', 'package': 'hypervisor=1',
                       'file': 'hypervisor_1_all.deb', 'member': 'boot/xen.gz',
                       'sha256': fetch.sha256(self.archive)}
        self.fetched = []
        self.patch(fetch, 'from_debian', self.from_debian)
        self.patch(xen, 'INSTALLED', self.scratch)

    def make_package(self, name, content):
        tree = self.scratch / name
        (tree / 'DEBIAN').mkdir(parents=True)
        (tree / 'DEBIAN' / 'control').write_text(CONTROL)
        (tree / 'boot').mkdir()
        (tree / 'boot' / 'xen.gz').write_bytes(content)
        archive = self.scratch / f'{name}.deb'
        subprocess.run(['dpkg-deb', '--root-owner-group', '--build', tree, archive], check=True,
                       capture_output=True)
        return archive

    def from_debian(self, source, target):
        self.fetched.append(source['package'])
        got = self.scratch / 'got'
        got.write_bytes(self.archive.read_bytes())
        return got

    def no_mirror(self, source, target):
        raise project.Failure('no mirror')

    def test_is_fetched_and_unpacked_once(self):
        self.assertEqual(xen.image(self.source).read_bytes(), b'Xen')
        self.assertEqual(xen.image(self.source).read_bytes(), b'Xen')
        self.assertEqual(self.fetched, ['hypervisor=1'])

    def test_package_that_is_kept_is_verified(self):
        fetch.package(self.source).write_bytes(b'other')
        self.assertEqual(xen.image(self.source).read_bytes(), b'Xen')
        self.assertIn('kept from an earlier run, is truncated', self.output.getvalue())

    def test_wrong_package_is_not_used(self):
        self.source['sha256'] = '0' * 64
        self.fails('truncated or has changed', xen.image, self.source)

    def test_installed_one_will_do(self):
        self.patch(fetch, 'from_debian', self.no_mirror)
        (self.scratch / 'boot').mkdir()
        (self.scratch / 'boot' / 'xen.gz').write_bytes(gzip.compress(b'installed'))
        self.assertEqual(xen.image(self.source).read_bytes(), b'installed')

    def test_none_at_all_says_what_to_install(self):
        self.patch(fetch, 'from_debian', self.no_mirror)
        message = self.fails(['no mirror', '"apt-get install hypervisor" as root'],
                             xen.image, self.source)
        self.assertNotIn('\n', message)

    def test_package_that_is_damaged_is_one_sentence(self):
        self.archive = self.make_package('damaged', b'no gzip at all')
        self.source['sha256'] = fetch.sha256(self.archive)
        self.fails('boot/xen.gz cannot be unpacked', xen.image, self.source)
