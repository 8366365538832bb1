# SPDX-License-Identifier: GPL-2.0
import os
import shutil
import tempfile
import types
from pathlib import Path

from harness import assemble, debian, fetch, packages, project
from harness.tests import DRIVER, Case, KernelCase, needs


def patch_of(name, line, other, context=3):
    """A patch of the driver with wrong context if asked to, as one that would need fuzz."""
    lines = DRIVER.splitlines()
    at = lines.index(line)
    first, last = at - context, at + context
    text = [f' {"other" if number == 0 and name == "fuzzy" else found}'
            for number, found in enumerate(lines[first:at])]
    text += [f'-{line}', f'+{other}', *(f' {found}' for found in lines[at + 1:last + 1])]
    count = last - first + 1
    return (f'--- a/driver.c\n+++ b/driver.c\n@@ -{first + 1},{count} +{first + 1},{count} @@\n'
            + '\n'.join(text) + '\n')


@needs('quilt')
class DropIn(KernelCase):
    """The series in a Debian package of the miniature kernel."""

    def setUp(self):
        super().setUp()
        os.environ.pop('KERNEL')
        self.patches = self.scratch / 'packaged' / 'debian' / 'patches'
        (self.patches / 'debian').mkdir(parents=True)
        (self.patches / 'series').write_text('# Debian\ndebian/first.patch\n')
        self.debian_patch('first', patch_of('first', 'line 17', 'line seventeen'))

    def debian_patch(self, name, text):
        (self.patches / 'debian' / f'{name}.patch').write_text(text)

    def drop_in(self, stands_in=False):
        archive = self.tarball('debian.tar', self.patches.parent)
        with tempfile.TemporaryDirectory() as scratch:
            patches = debian.of_series(self.repo(), self.base, Path(scratch))
            return debian.drop_in(self.kernel, archive, patches, stands_in)

    def repo(self):
        os.environ['KERNEL'] = str(self.kernel)
        repo = assemble.stock(self.base)
        os.environ.pop('KERNEL')
        return repo

    def test_all_patches_are_applied(self):
        self.assertEqual(self.drop_in(), (['debian/first.patch'], [], ['driver.c']))
        text = (self.kernel / 'driver.c').read_text()
        for words in ('line seventeen', 'line ten', 'line three'):
            self.assertIn(words, text)
        self.assertEqual((self.kernel / 'tests' / 'driver_kunit.c').read_text(), 'a test\n')

    def test_list_of_the_package_names_the_patches_last(self):
        self.drop_in()
        lines = (self.kernel / 'debian' / 'patches' / 'series').read_text().splitlines()
        self.assertEqual([line for line in lines if not line.startswith('#') and line],
                         ['debian/first.patch',
                          f'{debian.FOLDER}/0001-driver-spell-ten.patch',
                          f'{debian.FOLDER}/0002-driver-add-a-test.patch'])

    def test_conflict_names_the_patch(self):
        self.debian_patch('first', patch_of('first', 'line 10', 'line X'))
        for stands_in in (False, True):
            self.fails([f'{debian.FOLDER}/0001-driver-spell-ten.patch', 'does not apply'],
                       self.drop_in, stands_in)
            assemble.git(self.kernel, 'reset', '--quiet', '--hard')

    def test_fuzz_is_a_conflict(self):
        self.debian_patch('first', patch_of('fuzzy', 'line 17', 'line seventeen'))
        self.fails('debian/first.patch does not apply', self.drop_in)

    def test_stand_in_may_have_patches_for_its_own_kernel(self):
        self.debian_patch('first', patch_of('fuzzy', 'line 17', 'line seventeen'))
        self.assertEqual(self.drop_in(stands_in=True)[1], ['debian/first.patch'])
        self.assertNotIn('seventeen', (self.kernel / 'driver.c').read_text())

    def packaged(self):
        archive = self.tarball('debian.tar', self.patches.parent)
        source = {'package': 'linux=1', 'sha256': fetch.sha256(archive)}
        self.patch(debian, 'packaging', lambda base: (archive, source))
        (self.cache / 'debian').mkdir()
        return self.repo()

    def test_run_that_was_interrupted_leaves_nothing_in_the_way(self):
        repo, drop_in = self.packaged(), debian.drop_in

        def interrupted(tree, *arguments):
            drop_in(tree, *arguments)
            raise KeyboardInterrupt
        self.patch(debian, 'drop_in', interrupted)
        with self.assertRaises(KeyboardInterrupt):
            debian.packaged_commit(self.base, repo)
        self.patch(debian, 'drop_in', drop_in)
        debian.packaged_commit(self.base, repo)

    def test_commit_has_both(self):
        repo = self.packaged()
        commit = debian.packaged_commit(self.base, repo)
        self.assertEqual(assemble.git(repo, 'diff', '--name-only', 'base', commit).split(),
                         ['driver.c', 'tests/driver_kunit.c'])
        self.assertIn('on top of its 1 patches. Both change driver.c.',
                      assemble.git(repo, 'show', '--no-patch', '--format=%B', commit))
        self.patch(debian, 'drop_in', None)
        self.assertEqual(debian.packaged_commit(self.base, repo), commit)


class Packaging(Case):
    SOURCES = [{'package': 'one'}, {'package': 'two', 'stands_in': True}]

    def base(self):
        return types.SimpleNamespace(version='6.18.99', packaging=self.SOURCES)

    def have(self, *names):
        def package(source):
            if source['package'] not in names:
                raise project.Failure(f'{source["package"]}: 404')
            return source['package']
        self.patch(fetch, 'package', package)

    def test_first_that_there_is(self):
        self.have('one', 'two')
        self.assertEqual(debian.packaging(self.base()), ('one', self.SOURCES[0]))
        self.have('two')
        self.assertEqual(debian.packaging(self.base()), ('two', self.SOURCES[1]))

    def test_none_is_one_sentence(self):
        self.have()
        self.fails(['Linux 6.18.99', 'one: 404; two: 404'], debian.packaging, self.base())

    def test_sentence_says_what_stands_in(self):
        text = debian.describe(self.base(), self.SOURCES[1], ['p'] * 3, ['a', 'b'], ['b'], [])
        for words in ('The 3 patches', 'its 1 patches', 'stands in; 1 more do not',
                      'None of all 2 changes'):
            self.assertIn(words, text)
        self.assertNotIn('stands in', debian.describe(self.base(), self.SOURCES[0], [], [], [], []))


class Package(Case):
    def kernel(self, *names):
        self.patch(assemble, 'tree_version', lambda _: '6.18.15')
        base = types.SimpleNamespace(name='demo', dir=self.scratch, new_files=lambda: [])
        for name in names:
            (self.scratch / f'{name}_1_amd64.deb').touch()
        return debian.Packaged(base, self.scratch)

    def test_package_of_the_kernel_is_found(self):
        kernel = self.kernel('linux-image-6.18.15', 'linux-image-6.18.15-dbg', 'linux-libc-dev')
        self.assertEqual(kernel.package().name, 'linux-image-6.18.15_1_amd64.deb')

    def test_no_package_is_one_sentence(self):
        self.fails('made 0 kernel packages', self.kernel('linux-libc-dev').package)

    def built(self, kernel, *members):
        """Build with a make that makes a package of these files, and count the builds."""
        self.patch(packages, 'for_arch', lambda arch: None)
        self.patch(debian.Packaged, 'stamp', lambda kernel: 'stamp')
        self.patch(debian.Packaged, 'configure', lambda kernel: kernel.dir.mkdir(exist_ok=True))
        builds = []

        def make(command, log, what, **options):
            builds.append(command)
            root = self.scratch / 'root'
            shutil.rmtree(root, ignore_errors=True)
            (root / 'DEBIAN').mkdir(parents=True)
            (root / 'DEBIAN' / 'control').write_text(
                'Package: demo\nVersion: 1\nArchitecture: all\nMaintainer: -\n'
                'Description: demo\n')
            for name in members:
                (root / name).parent.mkdir(exist_ok=True)
                (root / name).write_text(name)
            project.output_of(['dpkg-deb', '--build', str(root),
                               str(self.scratch / 'linux-image-6.18.15_1_amd64.deb')])
        self.patch(debian, 'run', make)
        for _ in range(2):
            kernel.build()
        return builds

    @needs('dpkg-deb')
    def test_kernel_comes_out_of_the_package_and_is_built_once(self):
        kernel = self.kernel('linux-image-6.18.14')
        builds = self.built(kernel, 'boot/vmlinuz-6.18.15', 'boot/config-6.18.15')
        self.assertEqual(kernel.image.read_text(), 'boot/vmlinuz-6.18.15')
        self.assertEqual(len(builds), 1)
        self.assertIn('bindeb-pkg', builds[0])

    @needs('dpkg-deb')
    def test_package_without_kernel_is_one_sentence(self):
        self.fails('holds 0 kernels', self.built, self.kernel(), 'boot/config-6.18.15')

    def report(self, **status):
        results = [types.SimpleNamespace(suite='demo', case=case, status=each)
                   for case, each in status.items()]
        return types.SimpleNamespace(results=results, failures=lambda: [
            f'demo.{case}' for case, each in status.items() if each == 'failed'])

    def test_package_boots_again_if_another_judges_it(self):
        self.patch(debian.Packaged, 'stamp', lambda kernel: 'stamp')
        self.patch(debian.Packaged, 'package', lambda kernel: Path('demo.deb'))
        self.patch(assemble, 'patched', lambda base: self.scratch)
        self.patch(debian.build.Kernel, 'build', lambda kernel: kernel)
        self.patch(debian.report, 'Expectation', lambda *arguments, **options: None)
        booted = []
        self.patch(debian.suites, 'boot_all', lambda boots: booted.extend(boots)
                   or [self.report(a='passed')] * 2)
        kernel = self.kernel()
        for number, judge in ((2, 'one'), (2, 'one'), (4, 'another')):
            self.patch(debian.mutate, 'judges', lambda machine: judge)
            self.assertIn('1 cases pass and 0 are skipped',
                          debian.boot_package(kernel.base, kernel))
            self.assertEqual(len(booted), number)

    def test_every_difference_is_a_problem(self):
        plain = self.report(a='passed', b='skipped')
        self.assertEqual(debian.compare_boots(plain, self.report(a='passed', b='skipped')), [])
        for other in ({'a': 'passed'}, {'a': 'skipped', 'b': 'skipped'},
                      {'a': 'passed', 'b': 'failed'}):
            self.assertTrue(debian.compare_boots(plain, self.report(**other)), other)


@needs('rpmbuild')
class Rpm(KernelCase):
    def prepare(self, how, spoil=lambda patches: None):
        repo = assemble.stock(self.base)
        with tempfile.TemporaryDirectory() as scratch:
            patches = debian.of_series(repo, self.base, Path(scratch))
            spoil(patches)
            debian.prepare_rpm(repo, self.base, how, Path(scratch), patches)

    def test_patches_make_the_series(self):
        for how in ('git_am', 'patch'):
            self.prepare(how)

    def test_patch_that_does_not_apply_is_found(self):
        def spoil(patches):
            patches[0].write_text(patches[0].read_text().replace(' line 8\n', ' line eight\n'))
        for how in ('git_am', 'patch'):
            self.fails('failed', self.prepare, how, spoil)

    def test_other_tree_is_found(self):
        self.fails('makes another kernel', self.prepare, 'patch', lambda patches: patches.pop())

    def test_each_patch_is_named(self):
        text = debian.spec('6.18.15', [Path('0001-a.patch'), Path('0002-b.patch')], 'git_am')
        self.assertIn('Patch1: 0001-a.patch\nPatch2: 0002-b.patch\n', text)
        self.assertIn('%autosetup -n linux -p1 -S git_am\n', text)
