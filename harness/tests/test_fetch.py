# SPDX-License-Identifier: GPL-2.0
import os

from harness import assemble, fetch, packages, project
from harness.tests import Case, KernelCase


class Fetch(Case):
    def setUp(self):
        super().setUp()
        self.origin = self.scratch / 'origin.tar'
        self.origin.write_bytes(b'kernel' * 1000)
        self.source = {'kind': 'kernel.org', 'file': 'linux.tar', 'url': self.origin.as_uri(),
                       'sha256': fetch.sha256(self.origin)}
        self.cached = self.cache / 'sources' / 'linux.tar'
        self.patch(packages, 'ensure', lambda *tables: None)

    def tarball(self):
        return fetch.tarball('6.18.99', [self.source])

    def test_downloads_once(self):
        self.tarball()
        self.origin.unlink()
        self.assertEqual(self.tarball()[0], self.cached)

    def test_truncated_download_is_one_sentence_and_not_kept(self):
        self.origin.write_bytes(b'kernel' * 999)
        message = self.fails(['no source of Linux 6.18.99', 'truncated or has changed',
                              '5994 bytes'], self.tarball)
        self.assertNotIn('\n', message)
        self.assertEqual(list(self.cached.parent.iterdir()), [])

    def test_truncated_cache_is_said_and_fetched_again(self):
        self.tarball()
        self.cached.write_bytes(b'kern')
        self.assertEqual(self.tarball()[0].read_bytes(), self.origin.read_bytes())
        self.assertIn('kept from an earlier run, is truncated', self.output.getvalue())

    def test_tries_the_next_source(self):
        good = self.source
        bad = dict(good, url='file:///nowhere', file='other.tar')
        path, source = fetch.tarball('6.18.99', [bad, good])
        self.assertEqual((path, source), (self.cached, good))

    def test_all_reasons_are_given_when_nothing_helps(self):
        other = dict(self.source, url='file:///elsewhere')
        self.source['url'] = 'file:///nowhere'
        self.fails(['/nowhere', '/elsewhere'], fetch.tarball, '6.18.99', [self.source, other])

    def test_mirror_is_the_one_of_the_system(self):
        self.patch(fetch, 'output_of', lambda command: (
            'Packages main stable-security Debian http://mirror.invalid/security/\n'
            'Packages contrib stable Debian http://mirror.invalid/contrib/\n'
            'Packages main nodistro Other http://aaa.invalid/debian/\n'
            'Packages main stable Debian http://mirror.invalid/debian/\n'))
        self.assertEqual(fetch.mirror(), 'http://mirror.invalid/debian/')

    def test_mirror_is_known_before_the_first_update(self):
        self.patch(fetch, 'output_of', lambda command: '' if 'indextargets' in command else (
            "'http://mirror.invalid/debian-security/dists/stable-security/InRelease' a 0\n"
            "'http://aaa.invalid/deb/dists/nodistro/InRelease' b 0\n"
            "'http://mirror.invalid/debian/dists/stable/InRelease' c 0\n"))
        self.assertEqual(fetch.mirror(), 'http://mirror.invalid/debian/')

    def test_no_mirror_is_one_sentence(self):
        self.patch(fetch, 'output_of', lambda command: '')
        self.fails('name no Debian mirror', fetch.mirror)

    def test_apt_failure_is_one_sentence(self):
        def run(command, log, *arguments, **options):
            log.write_text('Hit:1\nE: Failed to fetch it\nE: Some index files failed\n')
            raise project.Failure('long\nstory')
        self.patch(fetch, 'mirror', lambda: 'http://mirror.invalid/')
        self.patch(fetch, 'run', run)
        message = self.fails('apt-get update: Failed to fetch it', fetch.PrivateApt('suite').get,
                             'update')
        self.assertNotIn('\n', message)


class Given(KernelCase):
    def test_git_tree_and_tarball_give_the_same_tree(self):
        trees = set()
        for kernel in (self.kernel, self.tarball('linux.tar', self.kernel)):
            os.environ['KERNEL'] = str(kernel)
            stock = assemble.stock(self.base)
            trees.add(assemble.git(stock, 'rev-parse', 'base^{tree}'))
        self.assertEqual(len(trees), 1)

    def test_truncated_tarball_is_one_sentence(self):
        archive = self.tarball('linux.tar', self.kernel)
        archive.write_bytes(archive.read_bytes()[:1500])
        os.environ['KERNEL'] = str(archive)
        message = self.fails(['linux.tar cannot be unpacked', 'truncated'], assemble.stock,
                             self.base)
        self.assertNotIn('\n', message)
        self.assertEqual(list((self.cache / 'base').glob('*')), [])

    def test_wrong_version_is_one_sentence(self):
        os.environ['KERNEL'] = str(self.make_kernel('old', 6, 12, 3))
        self.fails('is Linux 6.12.3, BASE=6.18 needs 6.18.x', assemble.stock, self.base)

    def test_no_kernel_tree_is_one_sentence(self):
        tree = self.make_kernel('other', 1, 2, 3)
        (tree / 'Makefile').write_text('all:\n')
        assemble.git(tree, 'commit', '--quiet', '--all', '--message', 'no kernel')
        os.environ['KERNEL'] = str(tree)
        self.fails('is not a Linux source tree', assemble.stock, self.base)

    def test_directory_without_git_is_one_sentence(self):
        (self.scratch / 'plain').mkdir()
        os.environ['KERNEL'] = str(self.scratch / 'plain')
        self.fails('is neither a git tree nor an archive', assemble.stock, self.base)

    def test_uncommitted_changes_are_not_silently_left_out(self):
        (self.kernel / 'driver.c').write_text('changed\n')
        self.fails('has changes that are not committed', assemble.stock, self.base)

    def test_base_follows_from_the_kernel(self):
        self.assertEqual([base.name for base in assemble.chosen_bases()], ['6.18'])
        os.environ['KERNEL'] = str(self.make_kernel('old', 6, 12, 3))
        self.fails('is Linux 6.12.3: there are series for 6.18, 7.3 only', assemble.chosen_bases)

    def test_the_given_tree_stays_as_it_is(self):
        before = assemble.git(self.kernel, 'rev-parse', 'HEAD')
        assemble.patched(self.base)
        self.assertEqual(assemble.git(self.kernel, 'rev-parse', 'HEAD'), before)
        self.assertEqual(assemble.git(self.kernel, 'for-each-ref').count('\n'), 1)
