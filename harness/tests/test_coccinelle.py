# SPDX-License-Identifier: GPL-2.0
import re
import shutil
import types
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import assemble, coccinelle, packages
from harness.project import JOBS, ROOT
from harness.tests import Case

# What the semantic patch must report of each of these files, and no more, stands in a
# comment on the line of the finding: /* expect: words of the message */.
SOURCES = Path(__file__).parent / 'coccinelle'
FINDING = re.compile(r'(\S+?):(\d+):\d+-\d+: WARNING: (.*)')


class SpatchCase(Case):
    def setUp(self):
        super().setUp()
        if not shutil.which('spatch'):
            self.fail('spatch is missing: install the package '
                      + packages.COCCINELLE['spatch'])

    def run_on_all(self, mode):
        names = sorted(path.name for path in SOURCES.glob('*.c'))
        with ThreadPoolExecutor(JOBS) as pool:
            printed = pool.map(lambda name: coccinelle.of_file(SOURCES, name, mode), names)
            return dict(zip(names, printed))


class SemanticPatch(SpatchCase):
    def expected(self, name):
        found = {}
        for number, line in enumerate((SOURCES / name).read_text().splitlines(), 1):
            if '/* expect: ' in line:
                found[number] = line.partition('/* expect: ')[2].removesuffix(' */')
        return found

    def test_report_mode_finds_each_misuse_and_nothing_else(self):
        total = 0
        for name, printed in self.run_on_all('report').items():
            expected = self.expected(name)
            total += len(expected)
            found = {}
            for line in printed.splitlines():
                match = FINDING.fullmatch(line)
                self.assertTrue(match and match[1] == name, line)
                found.setdefault(int(match[2]), []).append(match[3])
            for number in sorted({*expected, *found}):
                with self.subTest(f'{name}:{number}'):
                    self.assertIn(number, expected, f'must not be reported: {found.get(number)}')
                    self.assertEqual(len(found.get(number, [])), 1, f'must be reported once: '
                                     f'{expected[number]}')
                    self.assertIn(expected[number], found[number][0])
        self.assertGreater(total, 0)

    def test_org_mode_finds_the_same(self):
        for name, printed in self.run_on_all('org').items():
            lines = sorted(int(line) for line in re.findall(r'^\* TODO .*::linb=(\d+)::', printed, re.M))
            self.assertEqual(lines, sorted(self.expected(name)), name)

    def test_context_mode_marks_the_same(self):
        for name, printed in self.run_on_all('context').items():
            source = (SOURCES / name).read_text().splitlines()
            marked = Counter(line[1:] for line in printed.splitlines() if re.match(r'-(?!--)', line))
            for number in self.expected(name):
                self.assertGreater(marked[source[number - 1]], 0, f'{name}:{number}')
            if not self.expected(name):
                self.assertEqual(printed, '', name)

    def test_patch_mode_mends_what_is_certain(self):
        """Nothing but unmaps without the attribute of something the same function has mapped."""
        for name, printed in self.run_on_all('patch').items():
            certain = [words for words in self.expected(name).values()
                       if re.search(r'(?<!may )lack', words) and 'may lack' not in words]
            added = [line for line in printed.splitlines() if re.match(r'\+(?!\+\+)', line)]
            self.assertEqual(sum('DMA_ATTR_REQUIRE_COHERENT' in line for line in added),
                             len(certain), f'{name}\n{printed}')

    def test_patch_mode_leaves_nothing_to_mend(self):
        for name in ('unmap.c', 'rdma.c', 'attributes.c'):
            # spatch calls the new file after a temporary one.
            text = coccinelle.of_file(SOURCES, name, 'patch')
            patch = self.scratch / 'patch'
            patch.write_text(re.sub(r'(?m)^\+\+\+ .*', f'+++ {name}', text))
            shutil.copy(SOURCES / name, self.scratch / name)
            assemble.git(self.scratch, 'apply', '-p0', str(patch))
            self.assertNotIn(' lacks ', coccinelle.of_file(self.scratch, name))

    def test_unmap_without_attributes_becomes_one_with_attributes(self):
        printed = coccinelle.of_file(SOURCES, 'unmap.c', 'patch')
        for line in ('dma_unmap_page_attrs(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL,',
                     'dma_unmap_single_attrs(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL,',
                     'DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_REQUIRE_COHERENT);',
                     'dma_unmap_sg_attrs(dev, sgl, nents, DMA_BIDIRECTIONAL,'):
            self.assertRegex(printed, re.compile(r'^\+\s*' + re.escape(line), re.M))

    def test_files_without_the_attribute_are_skipped(self):
        """Else a run over a whole kernel tree would take hours."""
        printed = ''.join(coccinelle.spatch(SOURCES, '-D', 'report', '--parse-cocci',
                                            str(ROOT / coccinelle.SCRIPT)))
        self.assertRegex(printed, r'Grep query\s+DMA_ATTR_REQUIRE_COHERENT\s')

    def test_header_is_what_coccicheck_reads(self):
        text = (ROOT / coccinelle.SCRIPT).read_text()
        self.assertTrue(text.startswith('// SPDX-License-Identifier: GPL-2.0-only\n/// '))
        self.assertEqual(coccinelle.options(ROOT / coccinelle.SCRIPT),
                         ['--no-includes', '--include-headers'])
        self.assertRegex(text, r'(?m)^// Confidence: (High|Moderate|Low)$')
        for mode in ('patch', 'context', 'org', 'report'):
            self.assertIn(f'\nvirtual {mode}\n', text)


class Tree(SpatchCase):
    """What make check does with a kernel tree."""

    def tree(self, **files):
        for name, text in files.items():
            (self.scratch / name.replace('_', '.')).write_text(text)
        assemble.git(self.scratch, 'init', '--quiet')
        assemble.git(self.scratch, 'add', '--all')
        return self.scratch

    BAD = 'void f(struct device *dev, struct sg_table *sgt)\n{\n' \
          '\tdma_map_sgtable(dev, sgt, DMA_BIDIRECTIONAL, DMA_ATTR_REQUIRE_COHERENT);\n}\n'

    def test_every_file_with_the_attribute_is_checked(self):
        tree = self.tree(one_c=self.BAD.replace('void', '#include "two.h"\nvoid', 1),
                         two_h=self.BAD, other_c='void f(void)\n{\n}\n')
        findings, problems, names = coccinelle.of_tree(tree)
        self.assertEqual(names, ['one.c', 'two.h'])
        self.assertEqual([line.partition(' ')[0] for line in findings],
                         ['one.c:4:1-16:', 'two.h:3:1-16:'])
        self.assertEqual(problems, [])

    def test_what_spatch_cannot_parse_is_a_problem(self):
        tree = self.tree(one_c=self.BAD.replace('{\n', '{\n\tscoped_guard(mutex, &lock) {\n'
                                              '\t\tf();\n\t}\n'))
        findings, problems, _ = coccinelle.of_tree(tree)
        self.assertEqual(findings, [])
        self.assertIn('one.c: spatch cannot parse "dma_map_sgtable(', problems[0])

    def test_spatch_that_fails_is_a_failure(self):
        self.fails('spatch gone.c failed', coccinelle.of_file, self.scratch, 'gone.c')
        self.fails('spatch gone.c failed', coccinelle.not_parsed, self.scratch, 'gone.c')

    def test_script_that_complains_is_a_failure(self):
        script = self.scratch / 'broken.cocci'
        script.write_text('// Options: --no-includes\nvirtual report\n\n@script:python@\n@@\n\n'
                          'import sys\nprint("surprise", file=sys.stderr)\n')
        tree = self.tree(one_c=self.BAD)
        self.fails('surprise', coccinelle.of_file, tree, 'one.c', 'report', script)


class Accepted(Case):
    FOUND = 'a/b.c:7:1-9: WARNING: f() lacks ATTR, with which line 5 mapped it'
    LISTED = 'a/b.c: WARNING: f() lacks ATTR, with which line N mapped it'

    def compare(self, findings, *entries):
        accepted = self.scratch / 'coccinelle.toml'
        accepted.write_text(''.join(entries))
        self.patch(coccinelle, 'ACCEPTED', accepted)
        return coccinelle.compare(findings)

    def entry(self, finding=LISTED, reason='because'):
        return f'[[accepted]]\nfinding = "{finding}"\nreason = "{reason}"\n'

    def test_finding_that_is_not_listed(self):
        self.assertEqual(self.compare([self.FOUND]),
                         [f'coccinelle: {self.FOUND}'])

    def test_nothing_listed_and_nothing_found(self):
        self.assertEqual(self.compare([]), [])

    def test_listed_finding_may_move(self):
        moved = self.FOUND.replace(':7:1-9', ':99:2-10').replace('line 5', 'line 90')
        self.assertEqual(self.compare([moved], self.entry()), [])

    def test_listed_finding_in_another_file_or_with_another_message(self):
        for other in (self.FOUND.replace('a/b.c', 'a/c.c'), self.FOUND.replace('f()', 'g()')):
            self.assertEqual(len(self.compare([other], self.entry())), 2)

    def test_listed_finding_that_is_gone(self):
        problem, = self.compare([], self.entry())
        self.assertIn(f'accepts "{self.LISTED}", which is gone', problem)

    def test_each_entry_is_for_one_finding(self):
        self.assertEqual(len(self.compare([self.FOUND] * 2, self.entry())), 1)
        self.assertEqual(self.compare([self.FOUND] * 2, self.entry() * 2), [])

    def test_entry_without_a_reason(self):
        self.fails('an entry has no finding or no reason', self.compare, [self.FOUND],
                   self.entry(reason=''))

    def test_check_counts_everything(self):
        self.patch(coccinelle, 'of_tree',
                   lambda tree: ([self.FOUND], ['cannot parse'], ['a/b.c']))
        self.compare([])
        self.assertEqual(coccinelle.check(types.SimpleNamespace(name='demo'), None),
                         ['cannot parse', f'coccinelle: {self.FOUND}'])
        self.assertIn('demo: 1 files with DMA_ATTR_REQUIRE_COHERENT', self.output.getvalue())
