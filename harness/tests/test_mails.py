# SPDX-License-Identifier: GPL-2.0
import re
import subprocess

from harness import assemble, check, mails, sets
from harness.tests import KernelCase

MAINTAINERS = r"""#!/usr/bin/perl
print 'Ann Maintainer <ann@kernel.invalid> (maintainer:DRIVERS)', "\n";
print "Ren\xc3\xa9 Second <rene\@kernel.invalid> (supporter:DRIVERS)\n";
print 'Rob Reviewer <rob@kernel.invalid> (reviewer:DRIVERS)', "\n";
print 'drivers@list.invalid (moderated list:DRIVERS)', "\n";
"""

SET = """
[[set]]
name = "{name}"
title = "{name}: for its tree"
patches = ["{name}-*"]
what = "What {name} is."
why = "Why {name} is."
tested = "Seen."
not_tested = "Heard."
changes = "This is the first version."
{more}
"""


class MailCase(KernelCase):
    def am(self, *patches):
        target = self.scratch / 'pristine'
        assemble.git(self.scratch, 'clone', '--quiet', str(self.kernel), str(target))
        assemble.git(target, 'am', '--quiet', *map(str, patches))
        return target


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


class InSets(MailCase):
    """A driver and a list, of which each goes to another tree."""

    def setUp(self):
        super().setUp()
        scripts = self.kernel / 'scripts'
        scripts.mkdir()
        (scripts / 'get_maintainer.pl').write_text(MAINTAINERS)
        (self.kernel / 'list').write_text('one\ntwo\n')
        (self.kernel / 'old.h').write_text('int driver_old(void);\n')
        assemble.git(self.kernel, 'add', '--all', '--force')
        assemble.git(self.kernel, 'commit', '--quiet', '--message', 'list')
        assemble.git(self.work, 'fetch', '--quiet', str(self.kernel), 'HEAD')
        assemble.git(self.work, 'rebase', '--quiet', 'FETCH_HEAD')
        assemble.git(self.work, 'tag', '--force', 'base', 'FETCH_HEAD')
        self.commit('driver: list it', {'list': 'one\ntwo\ndriver\n', 'include/driver.h': 'new\n'})
        self.commit('list: add an entry', {'list': 'one\ntwo\ndriver\nthree\n'})
        self.describe()

    def commit(self, subject, files):
        for name, text in files.items():
            (self.work / name).parent.mkdir(exist_ok=True)
            (self.work / name).write_text(text)
        assemble.git(self.work, 'add', '--all', '--force')
        assemble.git(self.work, 'commit', '--quiet', '--message',
                     f'{subject}\n\nWithout it there is one thing less in the list than there is.')
        self.write_back(self.work)

    def describe(self, text=None, **more):
        text = text or ''.join(SET.format(name=name, more=more.get(name, ''))
                               for name in ('driver', 'list'))
        (self.base.dir / 'sets.toml').write_text(f'title = "all"\ntext = "All of it."\n{text}')

    def problems(self):
        return check.check_sets(self.base, assemble.stock(self.base))

    def letter(self, name='list'):
        return (mails.export(self.base) / name / mails.COVER).read_text()

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
        self.assertIn('\n - driver (3): driver: for its tree\n - list (1): list: for its tree\n', letter)
        target = self.am(*sorted(out.glob('*.patch')))
        self.assertEqual((target / 'list').read_text(), 'one\ntwo\ndriver\nthree\n')

    def test_patch_that_needs_another_set_is_one_sentence(self):
        self.commit('list: spell the driver', {'list': 'one\ntwo\ndriver 1\nthree\n'})
        message = self.fails(['"list: spell the driver" does not apply to the plain base',
                              'what it changes in list, patches of other sets'],
                             mails.export, self.base)
        self.assertNotIn('\n', message)
        self.assertFalse((self.root / 'out' / '6.18').exists())
        self.assertEqual(self.problems(), [message])

    def test_mails_that_become_something_else_are_found(self):
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
            self.assertIn('Ann Maintainer <ann@kernel.invalid>', to)
            self.assertIn('=?utf-8?q?Ren=C3=A9_Second?= <rene@kernel.invalid>', to)
            self.assertIn('rob@kernel.invalid', cc)
            self.assertIn('drivers@list.invalid', cc)

    def test_nobody_to_send_to_is_one_sentence(self):
        (self.kernel / 'scripts' / 'get_maintainer.pl').write_text('')
        assemble.git(self.kernel, 'commit', '--quiet', '--all', '--message', 'nobody')
        self.fails('get_maintainer.pl names nobody who takes 0001-driver-spell', mails.export,
                   self.base)

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
        first, second = (mails.export(self.base) / 'list.mbox').read_text().split('[PATCH 1/1]')
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
        self.assertIn('Before them comes "driver: for its tree":\nthe list names the driver.',
                      letter)
        self.assertIn('\nprerequisite-change-id: 20260101-dma-coherent-driver-', letter)
        listed = re.findall('^prerequisite-patch-id: (.*)', letter, re.M)
        mailed = [subprocess.run(['git', 'patch-id', '--stable'], input=patch.read_bytes(),
                                 capture_output=True).stdout.decode().split()[0]
                  for patch in sorted((self.root / 'out/6.18/driver').glob('*.patch'))]
        self.assertEqual(listed, mailed)

    def needs(self, word):
        words = f'set list uses {word}, which the set driver brings'
        self.fails(words, mails.export, self.base)
        self.describe(list='needs = { driver = "it uses that." }')
        mails.export(self.base)

    def test_header_of_another_set_is_a_need(self):
        self.commit('list: include', {'list.c': '#include <driver.h>\n'})
        self.needs('include/driver.h')

    def test_function_of_another_set_is_a_need(self):
        self.commit('driver: declare', {'driver.h': 'int driver_old(void);\nint driver_new(void);\n'})
        self.commit('list: call', {'list.c': 'int i = driver_old() + driver_new();\n'})
        self.needs('driver_new')

    def test_trace_event_of_another_set_is_a_need(self):
        self.commit('driver: trace', {'driver.h': 'DEFINE_EVENT(all, driver_event,\n'})
        self.commit('list: trace', {'list.c': 'trace_driver_event();\n'})
        self.needs('trace_driver_event')

    def test_function_that_the_base_has_is_no_need(self):
        self.commit('driver: call', {'driver.h': 'static int x(void) { return driver_old(); }\n'})
        self.commit('list: call', {'list.c': 'int i = driver_old();\n'})
        mails.export(self.base)

    def test_every_patch_belongs_to_one_set(self):
        self.describe(SET.format(name='list', more=''))
        self.fails('sets.toml: driver-spell-ten.patch belongs to no set', mails.export, self.base)
        self.describe(''.join(SET.format(name=name, more='').replace('["list-*"]', '["*-add-*"]')
                              for name in ('driver', 'list')))
        self.assertIn('driver-add-a-test.patch belongs to the sets driver and list',
                      '\n'.join(self.problems()))

    def test_set_without_patches_is_left_out_and_found(self):
        self.describe(''.join(SET.format(name=name, more='') for name in ('driver', 'list', 'none')))
        self.assertFalse((mails.export(self.base) / 'none').exists())
        self.assertIn('no patch belongs to the set none', self.output.getvalue())
        self.assertIn('no patch belongs to the set none', self.problems()[0])

    def test_wrong_needs_are_found(self):
        self.describe(list='needs = { others = "what?" }')
        self.assertIn('set list needs others, which is no other set', self.problems()[0])
        self.describe(list='needs = { driver = "a" }', driver='needs = { list = "b" }')
        self.assertIn('need each other', self.problems()[0])

    def test_incomplete_description_is_one_sentence(self):
        self.describe(SET.format(name='list', more='').replace('tested = "Seen."', ''))
        self.fails('set list does not say what is its tested', sets.Sets, self.base)

    def test_unfit_words_are_found(self):
        self.describe(SET.format(name='list', more='').replace('Seen.', 'S\u00e9en.'))
        self.assertIn('set list has a line that is longer than 75 or not plain ASCII: S',
                      '\n'.join(self.problems()))

    def test_sender_signs_off_every_patch_of_a_set(self):
        out = mails.export(self.base, mails.parse_signer('A Sender <a@sender.invalid>'))
        for patch in out.glob('driver/*.patch'):
            self.assertEqual(patch.read_text().count('Signed-off-by: A Sender'), 1)
            self.assertIn('From: A Sender <a@sender.invalid>', patch.read_text())

