# SPDX-License-Identifier: GPL-2.0
from harness import assemble, history
from harness.tests import DRIVER, KernelCase


class Commits(KernelCase):
    def commit(self, subject, files):
        super().commit(subject, files)
        return history.Series(self.base)

    def test_what_each_commit_changes(self):
        first, second = history.Series(self.base).commits
        self.assertEqual(first.subject, 'driver: spell ten')
        self.assertEqual(first.changed, {'driver.c'})
        self.assertEqual(second.changed, {'driver.c', 'tests/driver_kunit.c'})

    def test_commit_before(self):
        series = history.Series(self.base)
        self.assertIs(series.before(series.commits[1]), series.commits[0])
        self.assertIs(series.before(series.commits[0]), series.start)
        self.assertEqual(assemble.git(series.repo, 'rev-parse', 'base').strip(),
                         series.start.name)

    def test_files_that_differ_from_the_base_by_then(self):
        series = self.commit('driver: as it was', {'driver.c': DRIVER})
        self.assertEqual([sorted(commit.files) for commit in series.commits],
                         [['driver.c'], ['driver.c', 'tests/driver_kunit.c'],
                          ['tests/driver_kunit.c']])
        self.assertEqual(series.start.files, {})
        blob = assemble.git(series.repo, 'rev-parse', f'{series.commits[0].name}:driver.c').strip()
        self.assertEqual(series.commits[0].part(lambda name: True), [('driver.c', blob)])

    def test_what_is_not_compiled_changes_nothing(self):
        series = self.commit('docs: say it', {'Documentation/a.rst': 'It.\n',
                                              'tools/testing/selftests/a.c': 'it\n',
                                              'tools/dma/a.c': 'it\n'})
        self.assertEqual(series.commits[-1].changed, set())
        self.assertEqual(series.affected(series.commits[-1]), [set(), set()])

    def test_includers_of_a_changed_header(self):
        series = self.commit('driver: add headers', {
            'tests/inner.h': '', 'tests/outer.h': '#include "inner.h"\n',
            'tests/user_kunit.c': '#include "outer.h"\n'})
        last = series.commits[-1]
        self.assertEqual(series.affected(last), [{'tests/user_kunit.c'}] * 2)
        self.assertEqual(series.including(last, {'tests/inner.h'}, 'h'), {'tests/outer.h'})
        self.assertEqual(series.including(last, {'tests/other.h'}, 'c'), set())

    def test_header_of_the_same_name_elsewhere(self):
        series = self.commit('driver: add headers', {
            'include/kunit/dma.h': '', 'tests/one.c': '#include <kunit/dma.h>\n',
            'tests/two.c': '#include <linux/dma.h>\n'})
        self.assertEqual(series.including(series.commits[-1], {'include/kunit/dma.h'}, 'c'),
                         {'tests/one.c'})

    def header_case(self, files, changed):
        """A series that changes headers of the base, and a file in each directory."""
        for name, text in files.items():
            (self.kernel / name).parent.mkdir(parents=True, exist_ok=True)
            (self.kernel / name).write_text(text)
        assemble.git(self.kernel, 'add', '--all', '--force')
        assemble.git(self.kernel, 'commit', '--quiet', '--amend', '--no-edit')
        assemble.git(self.work, 'fetch', '--quiet', str(self.kernel), 'HEAD')
        assemble.git(self.work, 'rebase', '--quiet', '--onto', 'FETCH_HEAD', 'base')
        assemble.git(self.work, 'tag', '--force', 'base', 'FETCH_HEAD')
        self.commit('all: touch each directory', {
            f'{directory}/touched.c': '' for directory in ('tests', 'other')})
        series = self.commit('api: change', changed)
        return series.affected(series.commits[-1])

    API = 'int map(int x);\nint other(void);\nstruct ops {\n\tint old_way;\n};\n'
    USERS = {'tests/api.h': API,
             'tests/by_name.c': '#include "api.h"\nint x = map(1);\n',
             'tests/by_member.c': '#include "api.h"\nint f(struct ops *o) { return o->old_way; }\n',
             'tests/wrapper.h': '#include "api.h"\n#define wrapped() map(1)\n',
             'tests/by_wrapper.c': '#include "wrapper.h"\nint y = wrapped();\n',
             'tests/by_nothing.c': '#include "api.h"\nint z = other();\n',
             'other/also.c': '#include "../tests/api.h"\n',
             'other/more.c': '#include "../tests/api.h"\n'}

    def test_who_uses_what_a_header_declares_otherwise(self):
        self.assertEqual(
            self.header_case(self.USERS, {'tests/api.h': self.API.replace('int x', 'char x')}),
            [{'tests/by_name.c', 'tests/by_wrapper.c', 'other/also.c'},
             {'tests/by_name.c', 'tests/by_wrapper.c'}])

    def test_who_uses_a_member(self):
        self.assertEqual(
            self.header_case(self.USERS, {'tests/api.h': self.API.replace('old_way', 'new_way')}),
            [{'tests/by_member.c', 'other/also.c'}, {'tests/by_member.c'}])

    def test_comment_is_compiled_once_in_each_directory(self):
        self.assertEqual(self.header_case(self.USERS, {'tests/api.h': '/* map() */\n' + self.API}),
                         [{'tests/by_member.c', 'other/also.c'}, set()])

    def test_second_time_costs_no_search(self):
        series = history.Series(self.base)
        found = [series.affected(commit) for commit in series.commits]
        self.patch(series, 'find_affected', None)
        self.assertEqual([series.affected(commit) for commit in series.commits], found)
