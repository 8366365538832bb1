# SPDX-License-Identifier: GPL-2.0
import subprocess
import types

from harness import analysers, assemble, compilers, packages
from harness.tests import Case, needs


class Kept(Case):
    """Nothing is done twice, and everything that is new is done."""

    def setUp(self):
        super().setUp()
        self.made = []

    def make(self, lacking):
        self.made += lacking
        return {name: [f'{name} is bad'] for name in lacking}

    def test_only_what_lacks_is_made(self):
        analysers.kept('tool', {'a': '1', 'b': '2'}, self.make)
        found = analysers.kept('tool', {'a': '1', 'b': '3'}, self.make)
        self.assertEqual(self.made, ['a', 'b', 'b'])
        self.assertEqual(found, {'a': ['a is bad'], 'b': ['b is bad']})

    def test_key_follows_the_content_and_what_is_taken_in(self):
        (self.scratch / 'include').mkdir()
        (self.scratch / 'a.c').write_text('one')
        (self.scratch / 'include' / 'a.h').write_text('one')
        self.patch(assemble, 'git', lambda *arguments: 'base')
        touched = ['a.c', 'include/a.h']
        keys = []
        for name in ('a.c', 'include/a.h', None):
            keys.append((analysers.contents(self.scratch, ['a.c']),
                         analysers.around(self.scratch, touched)))
            if name:
                (self.scratch / name).write_text('two')
        (content, taken_in), (changed, same), (_, other) = keys
        self.assertNotEqual(content, changed)
        self.assertEqual(taken_in, same)
        self.assertNotEqual(same, other)

    def test_more_of_the_same_is_new(self):
        before = {'a.c': ['a.c: leak'], 'b.c': []}
        after = {'a.c': ['a.c: leak', 'a.c: leak']}
        self.assertEqual(analysers.new_findings('tool', before, after), ['tool: a.c: leak'])
        self.assertEqual(analysers.new_findings('tool', before, before), [])

    def test_what_is_accepted_is_not_said(self):
        after = {'a.c': ['a.c: leak']}
        path = self.scratch / 'accepted.toml'
        self.patch(analysers, 'ACCEPTED', path)
        self.patch(analysers, 'met', set())
        path.write_text('[[accepted]]\nfinding = "tool: a.c: leak"\nreason = "it is not"\n')
        self.assertIn('"tool: a.c: leak", which is gone', analysers.gone()[0])
        self.assertEqual(analysers.new_findings('tool', {}, after), [])
        self.assertEqual(analysers.gone(), [])
        path.write_text('[[accepted]]\nfinding = "tool: a.c: leak"\n')
        self.fails('no reason', analysers.new_findings, 'tool', {}, after)


COCCI = '''/// A free that is repeated
// Options: --no-includes --include-headers
virtual report
@r@
expression e;
position p;
@@
kfree(e);
kfree@p(e);
@script:python depends on report@
p << r.p;
@@
coccilib.report.print_report(p[0], "ERROR: freed again")
'''


class Coccicheck(Case):
    def tree(self, source):
        (self.scratch / 'scripts' / 'coccinelle' / 'free').mkdir(parents=True, exist_ok=True)
        (self.scratch / 'scripts' / 'coccinelle' / 'free' / 'again.cocci').write_text(COCCI)
        (self.scratch / 'a.c').write_text(source)
        self.patch(assemble, 'git', lambda *arguments: 'base')
        return self.scratch

    def found(self, source):
        return analysers.coccicheck(self.tree(source), ['a.c', 'gone.c'], '1.1')

    @needs('spatch')
    def test_defect_is_found(self):
        self.assertEqual(self.found('void f(int *a)\n{\n\tkfree(a);\n\tkfree(a);\n}\n'),
                         {'a.c': ['a.c: ERROR: freed again [again]']})

    @needs('spatch')
    def test_changed_file_is_looked_at_again(self):
        self.found('void f(int *a)\n{\n\tkfree(a);\n\tkfree(a);\n}\n')
        self.assertEqual(self.found('void f(int *a)\n{\n\tkfree(a);\n}\n'), {'a.c': []})

    @needs('spatch')
    def test_semantic_patch_that_fails_is_one_sentence(self):
        self.tree('')
        script = self.scratch / 'scripts' / 'coccinelle' / 'free' / 'again.cocci'
        script.write_text(COCCI.replace('position p;', 'position;'))
        self.fails('spatch', analysers.coccicheck, self.scratch, ['a.c'], '1.1')


class Clang(Case):
    LOG = '''  CC      drivers/a.o
../drivers/a.c:1:2: warning: unused variable 'x' [-Wunused-variable]
  CHECK   ../drivers/a.c
../drivers/a.c:3:4: warning: Dereference of null pointer [core.NullDereference]
    3 |         return *p;
../drivers/a.c:2:4: note: 'p' initialized to a null pointer value
../include/a.h:9:4: warning: Value stored to 'x' is never read [deadcode.DeadStores]
  CC [M]  drivers/b.o
  CHECK   ../drivers/b.c
'''

    def test_findings_belong_to_the_file_that_is_checked(self):
        found = {name: analysers.findings_of(lines, self.scratch)
                 for name, lines in analysers.by_source(self.LOG).items()}
        self.assertEqual(found, {
            '../drivers/a.c': [
                'drivers/a.c: Dereference of null pointer [core.NullDereference]',
                "include/a.h: Value stored to 'x' is never read [deadcode.DeadStores]"],
            '../drivers/b.c': []})

    @needs(packages.CLANG)
    def test_defect_is_found(self):
        source = self.scratch / 'a.c'
        source.write_text('int f(int a)\n{\n\tint *p = 0;\n\n\tif (a)\n\t\tp = &a;\n'
                          '\treturn *p;\n}\n')
        done = subprocess.run([*analysers.CHECKER.split(), str(source)], cwd=self.scratch,
                              capture_output=True, text=True)
        found = analysers.findings_of(done.stderr.splitlines(), self.scratch)
        self.assertEqual(len(found), 1, done.stderr)
        self.assertRegex(found[0], r'^a\.c: Dereference of null pointer.*\[core\.NullDereference\]')

    def test_file_that_was_not_looked_at_is_one_sentence(self):
        kernel = types.SimpleNamespace(name='demo', source=self.scratch, fragment=lambda: '')
        self.patch(analysers, 'analyse', lambda *arguments: {'a.c': []})
        self.fails('did not look at b.c', analysers.analyse_kernel, kernel, ['a.c', 'b.c'], '', '')


class Documents(Case):
    def setUp(self):
        super().setUp()
        docs = self.scratch / 'tree' / 'Documentation'
        for name in ('sphinx', 'sphinx-static', 'images'):
            (docs / name).mkdir(parents=True)
        (docs / 'conf.py').write_text("master_doc = 'index'\n")
        (self.scratch / 'tree' / 'scripts').mkdir()
        (self.scratch / 'tree' / 'scripts' / 'kernel-doc').touch()
        (docs / 'other.rst').write_text('Other\n=====\n')
        self.tree, self.name = self.scratch / 'tree', 'Documentation/a.rst'

    def said(self, text):
        (self.tree / self.name).write_text(f'Title\n=====\n\n{text}\n')
        return analysers.read_documents(self.tree, [self.name])

    @needs('sphinx-build')
    def test_defect_is_found(self):
        found = self.said('See :ref:`nowhere`.')
        self.assertIn("Documentation/a.rst: WARNING: undefined label: 'nowhere'", found)

    @needs('sphinx-build')
    def test_document_that_was_left_out_is_none(self):
        found = self.said('See :doc:`other` and :doc:`gone`.')
        self.assertEqual([line for line in found if 'unknown document' in line],
                         ["Documentation/a.rst: WARNING: unknown document: 'gone'"])

    def test_name_of_no_document_is_found(self):
        (self.tree / self.name).write_text('Documentation/other.rst, Documentation/gone.rst')
        self.assertEqual(analysers.dead_references(self.tree, [self.name]),
                         ['Documentation/a.rst: there is no Documentation/gone.rst'])

    def test_documents_that_show_a_source_are_read(self):
        (self.tree / 'Documentation' / 'api.rst').write_text('.. kernel-doc:: lib/a.c\n')
        (self.tree / 'Documentation' / 'b.rst').write_text('.. kernel-doc:: lib/ab.c\n')
        assemble.git(self.tree, 'init', '--quiet')
        assemble.git(self.tree, 'add', '--all')
        self.assertEqual(analysers.documents(self.tree, [self.name, 'lib/a.c']),
                         ['Documentation/a.rst', 'Documentation/api.rst'])


class Project(Case):
    def setUp(self):
        super().setUp()
        self.root = self.scratch / 'project'
        self.root.mkdir()
        assemble.git(self.root, 'init', '--quiet')
        (self.root / 'good.py').write_text('import os\nprint(os.sep)\n')
        (self.root / 'good').write_text('#!/bin/sh\necho "$1"\n')

    def said(self):
        return analysers.check_project(self.root)

    @needs('pyflakes3')
    @needs('shellcheck')
    def test_clean_project(self):
        self.assertEqual(self.said(), [])

    @needs('pyflakes3')
    @needs('shellcheck')
    def test_defects_are_found(self):
        (self.root / 'bad.py').write_text('import os\n')
        (self.root / 'bad').write_text('#!/usr/bin/env bash\nrm $1/*\n')
        found = self.said()
        self.assertEqual(len(found), 2, found)
        self.assertRegex(found[0], r"^pyflakes3: bad\.py:1:.*'os' imported but unused$")
        self.assertRegex(found[1], r'^shellcheck: bad:2:')

    def test_every_check_counts(self):
        for name in ('check_documents', 'check_coccicheck', 'check_clang'):
            self.patch(analysers, name, lambda *arguments, name=name: [name])
        self.assertEqual(len(analysers.check(None, None, None)), 3)


class Around(Case):
    def test_included_source_is_no_source_of_its_own(self):
        (self.scratch / 'tests').mkdir()
        (self.scratch / 'a.c').write_text('#include "tests/part.c"\n')
        (self.scratch / 'tests' / 'part.c').write_text('one')
        self.patch(assemble, 'git', lambda *arguments: 'base')
        self.assertTrue(compilers.is_included(self.scratch, 'tests/part.c'))
        before = analysers.around(self.scratch, ['a.c', 'tests/part.c'])
        (self.scratch / 'tests' / 'part.c').write_text('two')
        self.assertNotEqual(before, analysers.around(self.scratch, ['a.c', 'tests/part.c']))
