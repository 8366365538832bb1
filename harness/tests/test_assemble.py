# SPDX-License-Identifier: GPL-2.0
import os
import shutil

from harness import assemble, check, compilers, project
from harness.tests import DRIVER, KernelCase


class Assemble(KernelCase):
    def snapshot(self):
        return {path.relative_to(self.root): path.read_bytes()
                for path in self.root.rglob('*')
                if path.is_file() and path.relative_to(self.root).parts[0] not in ('tree', 'out')}

    def test_one_commit_per_patch_with_its_new_file(self):
        tree = assemble.patched(self.base)
        log = assemble.git(tree, 'log', '--reverse', '--format=%s', 'base..').split('\n')[:-1]
        self.assertEqual(log, ['driver: spell ten', 'driver: add a test'])
        self.assertEqual((tree / 'tests' / 'driver_kunit.c').read_text(), 'a test\n')

    def test_unchanged_series_touches_no_file(self):
        tree = assemble.patched(self.base)
        before = (tree / 'driver.c').stat().st_mtime_ns
        assemble.patched(self.base)
        self.assertEqual((tree / 'driver.c').stat().st_mtime_ns, before)

    def test_round_trip_is_exact(self):
        before = self.snapshot()
        assemble.make_tree(self.base)
        assemble.refresh([self.base])
        self.assertEqual(self.snapshot(), before)
        self.assertEqual(check.check_round_trip(self.base, assemble.patched(self.base)), [])

    def test_refresh_writes_back_reordered_and_renamed_commits(self):
        assemble.make_tree(self.base)
        tree = assemble.work_tree(self.base)
        assemble.git(tree, 'reset', '--quiet', '--hard', 'base')
        (tree / 'driver.c').write_text('rewritten\n')
        assemble.git(tree, 'commit', '--quiet', '--all', '--message', 'driver: rewrite')
        assemble.refresh([self.base])
        self.assertEqual(self.base.series(), [('0001-driver-rewrite.patch', [])])
        self.assertEqual((self.base.dir / 'series').read_text(),
                         '# header stays\n0001-driver-rewrite.patch\n')
        self.assertFalse((self.root / 'tests' / 'driver_kunit.c').exists())
        self.assertFalse((self.base.dir / '0001-driver-spell-ten.patch').exists())

    def test_patch_that_no_longer_applies_is_one_sentence(self):
        patch = self.base.dir / '0001-driver-spell-ten.patch'
        patch.write_text(patch.read_text().replace('line 9', 'line IX'))
        message = self.fails(['0001-driver-spell-ten.patch does not apply to Linux 6.18.99',
                              'driver.c:7'], assemble.patched, self.base)
        self.assertNotIn('\n', message)

    def merge_first_patch(self, has):
        """Say that later kernels may have the first patch, and be one that has it."""
        self.base.unneeded = [{'patch': 'driver-spell-ten.patch', 'commit': '123456789abc',
                             'file': 'driver.c', 'has': has}]
        (self.kernel / 'driver.c').write_text(DRIVER.replace('line 10', 'line ten # mainline'))
        assemble.git(self.kernel, 'commit', '--quiet', '--all', '--message', 'later')

    def test_patch_that_the_kernel_already_has_is_left_out(self):
        self.merge_first_patch(has='line ten')
        tree = assemble.patched(self.base)
        self.assertIn('does not need 0001-driver-spell-ten.patch: it has mainline commit 123456789abc',
                      self.output.getvalue())
        self.assertIn('line ten # mainline', (tree / 'driver.c').read_text())
        self.assertTrue((tree / 'tests' / 'driver_kunit.c').exists())

    def test_patch_that_a_kernel_does_not_need_says_why(self):
        self.merge_first_patch(has='line ten')
        self.base.unneeded[0]['because'] = 'it counts no lines'
        assemble.patched(self.base)
        self.assertIn('0001-driver-spell-ten.patch: it counts no lines\n', self.output.getvalue())

    def test_patch_that_the_kernel_does_not_have_is_not_left_out(self):
        self.merge_first_patch(has='line X')
        self.fails('0001-driver-spell-ten.patch does not apply', assemble.patched, self.base)

    def test_offset_is_found_by_the_round_trip(self):
        patch = self.base.dir / '0001-driver-spell-ten.patch'
        text = patch.read_text()
        self.assertIn('@@ -7,7 +7,7 @@', text)
        patch.write_text(text.replace('@@ -7,7 +7,7 @@', '@@ -6,7 +6,7 @@'))
        problems = check.check_round_trip(self.base, assemble.patched(self.base))
        self.assertEqual(len(problems), 1)
        self.assertIn('0001-driver-spell-ten.patch changes when', problems[0])

    def test_new_file_never_overwrites(self):
        with open(self.base.dir / 'series', 'a') as series:
            series.write('    + driver.c\n')
        (self.root / 'driver.c').write_text('ours\n')
        self.fails('driver.c would overwrite a file of Linux 6.18.99', assemble.patched, self.base)

    def test_unwritten_work_is_not_lost(self):
        assemble.make_tree(self.base)
        tree = assemble.work_tree(self.base)
        (tree / 'driver.c').write_text('work\n')
        self.fails('holds work that is not in the series', assemble.make_tree, self.base)
        self.fails('commit or remove driver.c first', assemble.refresh, [self.base])
        assemble.git(tree, 'commit', '--quiet', '--all', '--message', 'work')
        self.fails('holds work that is not in the series', assemble.make_tree, self.base)
        self.assertEqual((tree / 'driver.c').read_text(), 'work\n')

    def test_make_tree_follows_the_series(self):
        assemble.make_tree(self.base)
        (self.root / 'tests' / 'driver_kunit.c').write_text('a better test\n')
        assemble.make_tree(self.base)
        tree = assemble.work_tree(self.base)
        self.assertEqual((tree / 'tests' / 'driver_kunit.c').read_text(), 'a better test\n')

    def test_new_file_arrives_complete(self):
        self.change('driver: change the test', {'tests/driver_kunit.c': 'changed later\n'})
        before = self.snapshot()
        self.fails(['"driver: change the test" changes tests/driver_kunit.c', 'squash'],
                   assemble.read_commits, self.work)
        self.assertEqual(self.snapshot(), before)

    def test_new_file_that_the_base_ignores_is_not_forgotten(self):
        assemble.make_tree(self.base)
        tree = assemble.work_tree(self.base)
        (tree / '.git' / 'info').mkdir(exist_ok=True)
        (tree / '.git' / 'info' / 'exclude').write_text('*\n')
        (tree / 'forgotten.h').write_text('')
        (tree / 'notes').write_text('')
        self.fails('commit or remove forgotten.h first', assemble.refresh, [self.base])
        (tree / '.config').write_text('')
        assemble.refresh([self.base])

    def test_refresh_without_tree_says_what_to_do(self):
        self.fails('run "make tree BASE=6.18" first', assemble.refresh, [self.base])

    def test_refresh_does_not_undo_an_edit_of_the_series(self):
        assemble.make_tree(self.base)
        (self.root / 'tests' / 'driver_kunit.c').write_text('edited in place\n')
        self.fails('has changed since', assemble.refresh, [self.base])
        self.assertEqual((self.root / 'tests' / 'driver_kunit.c').read_text(), 'edited in place\n')

    def test_tree_of_another_kernel_is_not_written_back(self):
        assemble.make_tree(self.base)
        os.environ['KERNEL'] = str(self.make_kernel('newer', 6, 18, 100))
        assemble.make_tree(self.base)
        tree = assemble.work_tree(self.base)
        self.assertEqual(len(assemble.git(tree, 'rev-list', 'base..').split()), 2)
        before = self.snapshot()
        self.fails('is on top of Linux 6.18.100, and the series on top of 6.18.99',
                   assemble.refresh, [self.base])
        self.assertEqual(self.snapshot(), before)

    def test_refresh_in_the_middle_of_a_rebase_is_refused(self):
        assemble.make_tree(self.base)
        assemble.git(assemble.work_tree(self.base), 'checkout', '--quiet', 'HEAD~1')
        before = self.snapshot()
        self.fails('is not on its branch series-6.18', assemble.refresh, [self.base])
        self.assertEqual(self.snapshot(), before)

    def test_commit_of_nothing_but_new_files_keeps_its_message(self):
        assemble.git(self.work, 'reset', '--quiet', '--hard', 'base')
        self.commit('new: add\n\nBecause.', {'new.c': 'new\n'})
        tree = assemble.patched(self.base)
        self.assertEqual(assemble.git(tree, 'log', '-1', '--format=%B').strip(),
                         'new: add\n\nBecause.')
        self.assertEqual((tree / 'new.c').read_text(), 'new\n')

    def other_base(self, text):
        """A second base whose tree has the test with another text."""
        other = self.root / 'series' / '7.3'
        shutil.copytree(self.base.dir, other)
        base = project.Base('7.3', self.root)
        patches, contents = assemble.read_commits(self.work)
        return base, (patches, {**contents, 'tests/driver_kunit.c': text})

    def test_shared_file_changed_in_one_tree_is_kept(self):
        changed = self.other_base(b'changed\n')
        same = self.base, assemble.read_commits(self.work)
        for order in ([changed, same], [same, changed]):
            assemble.write_if_changed(self.root / 'tests' / 'driver_kunit.c', b'a test\n')
            assemble.write_back(order)
            self.assertEqual((self.root / 'tests' / 'driver_kunit.c').read_text(), 'changed\n')

    def test_shared_file_changed_in_two_trees_is_refused(self):
        one = self.other_base(b'one way\n')
        patches, contents = assemble.read_commits(self.work)
        two = self.base, (patches, {**contents, 'tests/driver_kunit.c': b'another way\n'})
        before = self.snapshot()
        self.fails('changed in the trees of two bases', assemble.write_back, [one, two])
        self.assertEqual(self.snapshot(), before)

    def test_series_that_changes_while_it_is_applied_is_not_remembered(self):
        apply = assemble.apply_series

        def changing(*arguments, **options):
            (self.root / 'tests' / 'driver_kunit.c').write_text('changed meanwhile\n')
            return apply(*arguments, **options)
        self.patch(assemble, 'apply_series', changing)
        self.fails('changed while it was applied', assemble.patched, self.base)


class Layout(KernelCase):
    def problems(self):
        assemble.git(self.root, 'init', '--quiet')
        return check.check_layout([self.base], self.root)

    def test_clean(self):
        self.assertEqual(self.problems(), [])

    def test_orphan_is_found(self):
        (self.root / 'tests' / 'orphan.c').write_text('')
        self.assertEqual(self.problems(), ['tests/orphan.c belongs to no patch of any base'])

    def test_file_attached_twice_is_found(self):
        with open(self.base.dir / 'series', 'a') as series:
            series.write('    + tests/driver_kunit.c\n')
        self.assertEqual(self.problems(), ['6.18: tests/driver_kunit.c is attached twice'])

    def test_merged_patch_that_does_not_exist_is_found(self):
        self.base.unneeded = [{'patch': 'driver-gone.patch', 'commit': '', 'file': '', 'has': ''}]
        self.assertIn('driver-gone.patch may not be needed, which is no patch of the series',
                      self.problems()[0])

    def test_patch_outside_the_series_is_found(self):
        (self.base.dir / '0003-stray.patch').write_text('')
        self.assertIn('0003-stray.patch is not in the series', self.problems()[0])

    def test_sign_off_in_a_patch_is_found(self):
        patch = self.base.dir / '0001-driver-spell-ten.patch'
        patch.write_text(patch.read_text().replace('\n---\n', '\n\nSigned-off-by: A <a@b>\n---\n'))
        self.assertIn('is signed off', check.check_mail(self.base)[0])

    def test_patch_without_explanation_is_found(self):
        patch = self.base.dir / '0001-driver-spell-ten.patch'
        header, _, body = patch.read_text().partition('\n\n')
        patch.write_text(header + '\n\n---\n' + body.partition('\n---\n')[2])
        self.assertIn('does not say why', check.check_mail(self.base)[0])

    def test_warnings_of_the_base_are_not_ours(self):
        before = '../kernel/dma/a.c:10:3: warning: old\n'
        after = '../kernel/dma/a.c:12:3: warning: old\n../kernel/dma/a.c:5:1: warning: new\n'
        self.assertEqual(compilers.new_warnings('gcc', before, after),
                         ['gcc: kernel/dma/a.c: warning: new'])
