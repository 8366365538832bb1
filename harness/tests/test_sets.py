# SPDX-License-Identifier: GPL-2.0
from harness import assemble, check, mails, sets
from harness.tests import KernelCase

MAINTAINERS = r"""#!/usr/bin/perl
print 'Ann Maintainer (Demo) <ann@kernel.invalid> (maintainer:DRIVERS)', "\n";
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


class SetCase(MailCase):
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
        super().commit(f'{subject}\n\nWithout it there is one thing less in the list than there '
                       f'is.', files)

    def describe(self, text=None, **more):
        text = text or ''.join(SET.format(name=name, more=more.get(name, ''))
                               for name in ('driver', 'list'))
        (self.base.dir / 'sets.toml').write_text(f'title = "all"\ntext = "All of it."\n{text}')

    def problems(self):
        return check.check_sets(self.base, assemble.stock(self.base))

    def letter(self, name='list'):
        return (mails.export(self.base) / name / mails.COVER).read_text()


class Sets(SetCase):
    def test_patch_that_needs_another_set_is_one_sentence(self):
        self.commit('list: spell the driver', {'list': 'one\ntwo\ndriver 1\nthree\n'})
        message = self.fails(['"list: spell the driver" does not apply to the plain base',
                              'what it changes in list, patches of other sets'],
                             mails.export, self.base)
        self.assertNotIn('\n', message)
        self.assertFalse((self.root / 'out' / '6.18').exists())
        self.assertEqual(self.problems(), [message])

    def needs(self, word):
        words = f'set list uses {word}, which the set driver brings'
        self.fails(words, mails.export, self.base)
        self.describe(list='needs = { driver = "it uses that." }')
        mails.export(self.base)

    def test_header_of_another_set_is_a_need(self):
        self.commit('list: include', {'list.c': '#include <driver.h>\n'})
        self.needs('include/driver.h')

    def test_source_in_a_document_is_a_need(self):
        self.commit('list: show', {'docs/list.rst': '.. literalinclude:: ../include/driver.h\n'})
        self.needs('include/driver.h')

    def test_function_in_a_document_is_a_need(self):
        self.commit('driver: declare', {'driver.h': 'int driver_new(void);\n'})
        self.commit('list: explain', {'docs/list.rst': 'Call driver_new() and driver_old().\n'})
        self.needs('driver_new')

    def test_function_of_another_set_is_a_need(self):
        self.commit('driver: declare',
                    {'driver.h': 'int driver_old(void);\nint driver_new(void);\n'})
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

    def test_wrong_needs_are_found(self):
        self.describe(list='needs = { others = "what?" }')
        self.assertIn('set list needs others, which is no other set', self.problems()[0])
        self.describe(list='needs = { driver = "a" }', driver='needs = { list = "b" }')
        problems = self.problems()
        self.assertEqual(len(problems), 1)
        self.assertIn('the sets driver and list need each other', problems[0])

    def test_circle_is_said_without_those_that_lead_to_it(self):
        self.describe(''.join(SET.format(name=name, more=f'needs = {{ {need} = "a" }}')
                              for name, need in (('a', 'driver'), ('list', 'driver'),
                                                 ('driver', 'list'))))
        found = sets.Sets(self.base).problems([])
        self.assertEqual(len(found), 1)
        self.assertIn('the sets list and driver need each other', found[0])

    def test_every_problem_is_said(self):
        self.describe(SET.format(name='other', more=''))
        self.assertEqual(self.fails('belongs to no set', mails.export, self.base).count('\n'), 3)
        self.describe()
        self.commit('driver: more', {'driver.h': 'int driver_new(void);\n', 'include/list.h': ''})
        self.commit('list: use', {'list.c': 'driver_new();\n', 'include/entry.h': ''})
        self.commit('driver: use', {'use.c': '#include <entry.h>\n'})
        self.fails(['set driver uses include/entry.h', 'set list uses driver_new'], mails.export,
                   self.base)

    def test_change_that_ends_up_elsewhere_is_another_one(self):
        def change(name, text):
            assemble.git(self.work, 'checkout', '--quiet', '--detach', 'base')
            self.commit(f'{name}: change', {name: text})
            return sets.difference(self.work, 'HEAD')
        self.write_back = lambda tree: None
        first = change('list', 'x\none\ny\ntwo\n')
        self.assertNotEqual(first, change('list', 'y\none\nx\ntwo\n'))
        self.assertNotEqual(first, change('other', 'x\ny\n'))
        self.assertEqual(change('list', 'one\na\nb\ntwo\n'), change('list', 'one\ntwo\nb\na\n'))

    def test_set_is_made_anew_by_other_code(self):
        repo, made = assemble.stock(self.base), []
        commit = assemble.assembled_commit(repo, self.base)
        transplant = sets.transplant
        self.patch(sets, 'transplant', lambda *all: made.append(all) or transplant(*all))
        for code, count in (('a', 1), ('a', 1), ('b', 2)):
            self.patch(sets, 'CODE', code)
            sets.alone(repo, [commit], assemble.IDENTITY)
            self.assertEqual(len(made), count)

    def test_incomplete_description_is_one_sentence(self):
        self.describe(SET.format(name='list', more='').replace('tested = "Seen."', ''))
        self.fails('set list does not say what is its tested', sets.Sets, self.base)

    def test_unfit_words_are_found(self):
        self.describe(SET.format(name='list', more='').replace('Seen.', 'S\u00e9en.'))
        self.assertIn('set list has a line that is longer than 75 or not plain ASCII: S',
                      '\n'.join(self.problems()))
