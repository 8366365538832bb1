# SPDX-License-Identifier: GPL-2.0
import re
import subprocess

from harness import assemble, mails
from harness.tests.test_sets import SET, MailCase, SetCase


class Export(MailCase):
    def setUp(self):
        super().setUp()
        (self.base.dir / 'cover').write_text('driver: numbers\n\nWhat this is.\n')

    def test_git_am_applies_the_patches(self):
        out = mails.export(self.base)
        target = self.am(*sorted(out.glob('*.patch')))
        self.assertEqual(assemble.git(target, 'rev-parse', 'HEAD^{tree}'),
                         assemble.git(assemble.patched(self.base), 'rev-parse', 'HEAD^{tree}'))

    def test_quilt_series_names_every_patch(self):
        out = mails.export(self.base)
        names = (out / 'series').read_text().split()
        target = self.scratch / 'plain'
        assemble.git(self.scratch, 'clone', '--quiet', str(self.kernel), str(target))
        for name in names:
            assemble.git(target, 'apply', str(out / name))
        self.assertEqual((target / 'tests' / 'driver_kunit.c').read_text(), 'a test\n')

    def test_mbox_begins_with_the_cover_letter(self):
        found = (mails.export(self.base) / 'series.mbox').read_text().split('\nSubject: ')
        self.assertIn('[PATCH 0/2] driver: numbers', found[1])
        self.assertIn('What this is.', found[1])
        self.assertEqual(len(found), 4)

    def test_nothing_is_signed_off_unless_asked(self):
        out = mails.export(self.base)
        self.assertNotIn('Signed-off-by', (out / 'series.mbox').read_text())

    def test_sender_signs_off_every_patch(self):
        out = mails.export(self.base, mails.parse_signer('A Sender <a@sender.invalid>'))
        target = self.am(*sorted(out.glob('*.patch')))
        for commit in assemble.git(target, 'rev-list', 'HEAD~2..HEAD').split():
            message = assemble.git(target, 'show', '--no-patch', '--format=%an <%ae>%n%B', commit)
            self.assertEqual(message.count('A Sender <a@sender.invalid>'), 2)
            self.assertIn('Signed-off-by: A Sender <a@sender.invalid>', message)

    def test_malformed_sender_is_one_sentence(self):
        for text in ('name', 'name@host', '<a@b>', 'Name <nowhere>'):
            self.fails('expected "Name <address>"', mails.parse_signer, text)


class InSets(SetCase):
    def test_each_set_applies_alone(self):
        out = mails.export(self.base)
        self.assertEqual(len(list(out.glob('driver/*.patch'))), 3)
        target = self.am(*sorted(out.glob('list/*.patch')))
        self.assertEqual((target / 'list').read_text(), 'one\ntwo\nthree\n')
        self.assertFalse((target / 'tests').exists())
        self.assertEqual(self.problems(), [])

    def test_there_need_not_be_sets(self):
        (self.base.dir / 'sets.toml').unlink()
        (self.base.dir / 'cover').write_text('driver: numbers\n\nWhat this is.\n')
        self.assertEqual(list(mails.export(self.base).glob('*/')), [])
        self.assertEqual(self.problems(), [])

    def test_sets_are_the_series(self):
        out = mails.export(self.base)
        letter = (out / mails.COVER).read_text()
        self.assertIn('[PATCH 0/4] all\n', letter)
        self.assertIn('All of it.', letter)
        self.assertIn('\n - driver (3): driver: for its tree\n - list (1): list: for its tree\n',
                      letter)
        target = self.am(*sorted(out.glob('*.patch')))
        self.assertEqual((target / 'list').read_text(), 'one\ntwo\ndriver\nthree\n')

    def test_mails_that_become_something_else_are_found(self):
        mails.export(self.base)
        write = mails.fill_in

        def spoil(letter, *arguments):
            write(letter, *arguments)
            for patch in letter.parent.glob('*-list-add*'):
                patch.write_text(patch.read_text().replace('+three', '+four'))
        self.patch(mails, 'fill_in', spoil)
        self.fails('set list of 6.18 becomes something else', mails.export, self.base)

    def test_letter_has_every_section(self):
        letter = self.letter()
        at = [letter.index(words) for words in (
            '[PATCH 0/1] list: for its tree', 'What list is.', 'Why list is.',
            'How this was tested:\n\nSeen.', 'Not tested:\n\nHeard.',
            'Changes since the last version:\n\nThis is the first version.',
            'apply to Linux 6.18.99 on their own', '1 file changed', '\nchange-id: ')]
        self.assertEqual(at, sorted(at))

    def test_addresses_are_those_of_the_kernel(self):
        for mail in (mails.export(self.base) / 'list').iterdir():
            header = mail.read_text().partition('\n\n')[0]
            to, cc = header.split('\nTo: ')[1].split('\nCc: ')
            self.assertIn('"Ann Maintainer (Demo)" <ann@kernel.invalid>', to)
            self.assertIn('=?utf-8?q?Ren=C3=A9_Second?= <rene@kernel.invalid>', to)
            self.assertIn('rob@kernel.invalid', cc)
            self.assertIn('drivers@list.invalid', cc)

    def test_nobody_to_send_to_is_one_sentence(self):
        (self.kernel / 'scripts' / 'get_maintainer.pl').write_text('')
        assemble.git(self.kernel, 'commit', '--quiet', '--all', '--message', 'nobody')
        self.fails('get_maintainer.pl names nobody who takes 0001-driver-spell', mails.export,
                   self.base)

    def test_address_without_role_is_one_sentence(self):
        (self.kernel / 'scripts' / 'get_maintainer.pl').write_text("print 'Nobody'")
        assemble.git(self.kernel, 'commit', '--quiet', '--all', '--message', 'no role')
        self.fails('no address with a role: Nobody', mails.export, self.base)

    def test_change_id_outlives_the_words(self):
        before = re.findall('^change-id: .*', self.letter(), re.M)
        self.describe(list='version = 2')
        path = self.base.dir / 'sets.toml'
        path.write_text(path.read_text().replace('for its tree', 'other words'))
        letter = self.letter()
        self.assertIn('[PATCH v2 0/1] list: other words', letter)
        self.assertEqual(re.findall('^change-id: .*', letter, re.M), before)
        self.assertEqual(len(before), 1)

    def test_mails_of_the_mbox_are_a_thread(self):
        first, _ = (mails.export(self.base) / 'list.mbox').read_text().split('[PATCH 1/1]')
        self.assertIn('Message-Id: <20260101-dma-coherent-list-', first)
        self.assertEqual(re.search('^Message-Id: (.*)', first, re.M)[1],
                         re.search('^In-Reply-To: (.*)', first, re.M)[1])

    def test_subject_in_the_mbox_is_one_line(self):
        subject = 'list: ' + 'very ' * 15 + 'long'
        self.commit(subject, {'list.c': ''})
        out = mails.export(self.base)
        self.assertIn(f'\nSubject: [PATCH 2/2] {subject}\n', (out / 'list.mbox').read_text())
        self.assertNotIn(f'{subject}\n', (out / 'series.mbox').read_text())

    def test_what_is_needed_before_is_said(self):
        self.describe(list='needs = { driver = "the list names the driver." }')
        letter = self.letter()
        self.assertIn('to be built on top of:\n\n"driver: for its tree":\nthe list names the '
                      'driver.', letter)
        self.assertNotIn('on their own', letter)
        self.assertIn('\nprerequisite-change-id: 20260101-dma-coherent-driver-', letter)
        listed = re.findall('^prerequisite-patch-id: (.*)', letter, re.M)
        mailed = [subprocess.run(['git', 'patch-id', '--stable'], input=patch.read_bytes(),
                                 capture_output=True).stdout.decode().split()[0]
                  for patch in sorted((self.root / 'out/6.18/driver').glob('*.patch'))]
        self.assertEqual(listed, mailed)

    def test_set_without_patches_is_left_out_and_found(self):
        self.describe(''.join(SET.format(name=name, more='')
                              for name in ('driver', 'list', 'none')))
        self.assertFalse((mails.export(self.base) / 'none').exists())
        self.assertIn('no patch belongs to the set none', self.output.getvalue())
        self.assertIn('no patch belongs to the set none', self.problems()[0])

    def test_sender_signs_off_every_patch_of_a_set(self):
        out = mails.export(self.base, mails.parse_signer('A Sender <a@sender.invalid>'))
        for patch in out.glob('driver/*.patch'):
            self.assertEqual(patch.read_text().count('Signed-off-by: A Sender'), 1)
            self.assertIn('From: A Sender <a@sender.invalid>', patch.read_text())

