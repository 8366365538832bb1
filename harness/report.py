# SPDX-License-Identifier: GPL-2.0
"""Read the log of a boot: results of every case, and everything that is wrong with it."""

import collections
import fnmatch
import re
import sys
from pathlib import Path

from harness import build
from harness.boot import Boot
from harness.project import ROOT, Base, Failure, load_toml, main, say, show_problems

Result = collections.namedtuple('Result', 'suite case status detail')

# Lines that fail a run wherever they stand in a log.
SPLATS = re.compile('|'.join((
    r'WARNING: ', r'BUG: ', r'\bBUG\b.*at ', r'Oops', r'Kernel panic', r'Internal error',
    r'general protection fault', r'Call Trace:', r'Call trace:', r'KASAN', r'KCSAN', r'UBSAN',
    r'kmemleak:', r'INFO: (?:task|rcu|possible|lockdep|trying)', r'possible circular locking',
    r'suspicious RCU', r'sleeping function called', r'scheduling while atomic', r'DMA-API:',
    r'Unable to handle kernel', r'unchecked MSR', r'swiotlb buffer is full',
    # Not those of an SMMU: see "revoked unused" in machines/arm64-smmu.toml.
    r'DMAR: .*\bfault\b',
    # What sanitizers say, also of themselves when they cannot go on.
    r'\bBUG \S.*\((?:Not t|T)ainted', r'pagealloc: ', r'ODEBUG: ', r'refcount_t: ',
    r'list_(?:add|del) corruption', r'usercopy: Kernel memory', r'kcsan: .*(?:fail|improperly)',
    r'harness: (?:load|mount|pipe|lockdep|dma-debug)',
    r'\(XEN\) Panic on CPU', r'\(XEN\) .*Dom0 crashed',
)))

# What dma-debug and kmemleak say when all is well.
HARMLESS = re.compile(r'DMA-API: (?:preallocated \d+ debug entries|debugging enabled by kernel config|'
                      r'dma_debug_entry pool grown to)|'
                      r'kmemleak: (?:Kernel memory leak detector initialized|'
                      r'Automatic memory scanning thread started)')

EXPECTED_SPLATS = ROOT / 'harness' / 'expected_splats.toml'
USER_SPACE = 'harness: user space'


def parser(source):
    """The kernel's own KTAP parser."""
    path = str(Path(source) / 'tools' / 'testing' / 'kunit')
    if path not in sys.path:
        sys.path.insert(0, path)
    import kunit_parser
    import kunit_printer
    return kunit_parser, kunit_printer.null_printer


def leaves(test, names):
    """The cases, and every parent that failed for a reason of its own."""
    found = [leaf for subtest in test.subtests
             for leaf in leaves(subtest, names + [subtest.name])]
    failed = re.search(r'FAILURE|CRASHED', test.status.name)
    if not found or failed and not any(re.search(r'FAILURE|CRASHED', leaf.status.name)
                                       for _, leaf in found):
        found.append((names, test))
    return found


def parse_ktap(lines, source, suite=None):
    """Results of all KTAP in some lines, and what the parser found wrong with it."""
    kunit_parser, printer = parser(source)
    top = kunit_parser.parse_run_tests(lines, printer)
    words = {kunit_parser.TestStatus.SUCCESS: 'passed', kunit_parser.TestStatus.SKIPPED: 'skipped'}
    results = []
    for names, test in leaves(top, []):
        if not names:
            continue
        if suite:
            names = [suite] + names
        detail = '\n'.join(test.log)
        # kunit_skip() makes a failure forgotten that came before it.
        status = 'failed' if re.search('(?:EXPECTATION|ASSERTION) FAILED', detail) else \
            words.get(test.status, 'failed')
        results.append(Result(names[0], '.'.join(names[1:]), status, detail))
    errors = []
    if top.counts.errors or not results:
        errors.append('the KTAP output is not complete' if results else 'there is no KTAP output')
    return results, errors


def split(lines):
    """The part of the kernel, and the part of each selftest with its exit status."""
    kernel, programs, current = [], {}, None
    in_kernel = True
    for line in lines:
        mark = re.search(r'harness: (begin|end) /tests/(\S+)(?: (\w+ \d+))?', line)
        if USER_SPACE in line:
            in_kernel = False
        elif mark and mark[1] == 'begin':
            current = mark[2]
            programs[current] = ([], None)
        elif mark and mark[1] == 'end' and mark[2] in programs:
            programs[mark[2]] = (programs[mark[2]][0], mark[3])
            current = None
        elif in_kernel:
            kernel.append(line)
        elif current:
            programs[current][0].append(line)
    return kernel, programs


def outcomes(output):
    """What the lines of a selftest say of its mappings; a line cut short says nothing."""
    found = [{key: quoted or plain for key, quoted, plain in
              re.findall(r'(\w+)=(?:"([^"]*)"|(\S+))', line)}
             for line in output if '# outcome:' in line]
    return [outcome for outcome in found
            if {'mapping', 'memory', 'attribute', 'result'} <= set(outcome)]


TEST = re.compile(r'^TEST(?:_F(?:_TIMEOUT)?\(\w+,\s*|\()(\w+)', re.M)


def telling_tests(text):
    """The tests of a source that say what became of a mapping, themselves or by a function."""
    blocks = re.split(r'^}$', text, flags=re.M)
    functions, known = {'print_outcome'}, set()
    while functions != known:
        known = set(functions)
        call = re.compile(r'\b(?:' + '|'.join(known) + r')\(')
        for block in blocks:
            head = re.search(r'^static [^;{]*?\b([a-z]\w*)\([^;{]*\)\s*\{', block, re.M)
            if head and call.search(block, head.end()):
                functions.add(head[1])
    return {found[1] for block in blocks
            for found in [TEST.search(block)] if found and call.search(block)}


class Expectation:
    """The suites and cases that the sources of a base name."""

    def __init__(self, base, pattern=None, arch=None):
        self.pattern = pattern
        self.suites, self.programs = {}, {}
        # The cases of the programs that say what became of their mappings.
        self.telling = {}
        elsewhere = set()
        for name in base.new_files():
            text = (base.root / name).read_text() if name.endswith('.c') else ''
            if name.endswith('_kunit.c'):
                suite = re.search(r'struct kunit_suite \w+ = \{\s*\.name = "([^"]+)"', text)
                if not suite:
                    raise Failure(f'{name} names no KUnit suite')
                self.suites[suite[1]] = set(re.findall(r'\bKUNIT_CASE\w*\((\w+)', text))
                if arch and not self.is_built(base, name, arch):
                    elsewhere.add(suite[1])
            elif name.startswith('tools/testing/selftests/dma/') and 'TEST_HARNESS_MAIN' in text:
                self.programs[Path(name).stem] = set(TEST.findall(text))
                if telling_tests(text):
                    self.telling[Path(name).stem] = telling_tests(text)
        if pattern:
            known = ', '.join(sorted([*self.suites, *self.programs]))
            suite, _, case = pattern.partition('.')
            self.suites = self.narrow(self.suites, suite, case or '*')
            # A selftest runs as a whole.
            self.programs = {} if case else self.narrow(self.programs, suite, '*')
            if not self.suites and not self.programs:
                raise Failure(f'unknown SUITE={pattern}: choose one of {known}, or '
                              f'suite.case of a KUnit suite')
        self.suites = {name: cases for name, cases in self.suites.items() if name not in elsewhere}

    def only_telling(self):
        """Leave out all that does not say what became of mappings."""
        self.suites = {}
        self.programs = self.telling
        return self

    def arguments(self):
        """For our init: the programs to run, and the cases if it is not all of them."""
        words = []
        for name, cases in sorted(self.programs.items()):
            options = [f':-t:{case}' for case in sorted(cases)] if cases is self.telling.get(name) \
                else []
            words.append(name + ''.join(options))
        return ' '.join(words) or 'none'

    @staticmethod
    def is_built(base, name, arch):
        """Whether a .kunitconfig next to the suite is one for the architecture, which has it."""
        configs = [other for other in base.new_files()
                   if other.endswith('.kunitconfig') and Path(other).parent == Path(name).parent]
        return (not configs or any(build.is_for(other, arch) for other in configs)) \
            and Expectation.option(base, name) not in build.absent(arch)

    @staticmethod
    def option(base, name):
        """The option of a suite, by the Makefile that the patch changes which brings it."""
        line = re.compile(rf'^\+obj-\$\((\w+)\)\s*\+= tests/{Path(name).stem}\.o$', re.M)
        found = [line.search((base.dir / patch).read_text())
                 for patch, files in base.series() if name in files]
        return found[0][1] if found and found[0] else None

    @staticmethod
    def narrow(table, suite, case):
        found = {name: set(fnmatch.filter(cases, case))
                 for name, cases in table.items() if fnmatch.fnmatch(name, suite)}
        return {name: cases for name, cases in found.items() if cases}

    def missing(self, results):
        """Cases that the sources have and the log has not."""
        seen = collections.defaultdict(set)
        for result in results:
            seen[result.suite].update(result.case.split('.'))
        return [f'{suite}.{case}' for table in (self.suites, self.programs)
                for suite, cases in table.items() for case in sorted(cases - seen[suite])]


def is_splat(line):
    return SPLATS.search(line) and not HARMLESS.search(line)


def expected_splats():
    return load_toml(EXPECTED_SPLATS, 'expected')['expected']


def splat_blocks(lines):
    """Each WARN with its backtrace as one block, every other line as its own."""
    block = None
    for line in lines:
        if '[ cut here ]' in line:
            if block:
                yield block
            block = [line]
        elif block is not None:
            block.append(line)
            if '---[ end trace' in line or len(block) > 80:
                yield block
                block = None
        else:
            yield [line]
    if block:
        yield block


def scan(lines, results):
    """Unexpected splats, and expected ones that did not come."""
    passed = {(result.suite, result.case) for result in results if result.status == 'passed'}
    allowed = [dict(entry, left=(entry['suite'], entry['case']) in passed)
               for entry in expected_splats()]
    problems = []
    for block in splat_blocks(lines):
        splat = next(filter(is_splat, block), None)
        if not splat:
            continue
        for entry in allowed:
            if entry['left'] and any(re.search(entry['pattern'], line) for line in block):
                entry['left'] = False
                break
        else:
            problems.append('unexpected in the log: ' + splat.strip())
    for entry in allowed:
        if entry['left']:
            problems.append(f'{entry["suite"]}.{entry["case"]} passed without its warning '
                            f'"{entry["pattern"]}"')
    return problems


class Report:
    """What one boot showed."""

    def __init__(self, boot, source, expectation):
        self.boot = boot
        lines = boot.lines()
        kernel, programs = split(lines)
        self.results, self.problems, self.outcomes, self.splats = [], [], [], []
        if boot.wrong:
            self.problems.append(boot.wrong)
        if not any(USER_SPACE in line for line in lines):
            # Nothing more can be said than why the machine did not get this far.
            self.problems += scan(lines, []) or ['the kernel did not get to user space']
            return
        if not boot.wrong and not any('harness: done' in line for line in lines):
            self.problems.append('ended before all tests had run')
        if expectation.suites:
            self.read(kernel, source, 'KUnit')
        for name in expectation.programs:
            if name not in programs:
                self.problems.append(f'{name} did not run')
                continue
            output, status = programs[name]
            self.read(output, source, name, name)
            self.outcomes += outcomes(output)
            failed = any(result.suite == name and result.status == 'failed'
                         for result in self.results)
            if status not in ('exit 0', 'exit 4') and not failed:
                self.problems.append(f'{name} ended with {status}')
        self.problems += [f'{name} did not run' for name in expectation.missing(self.results)]
        self.splats = scan(lines, self.results)
        self.problems += self.splats

    def read(self, lines, source, what, suite=None):
        results, errors = parse_ktap(lines, source, suite)
        self.results += results
        self.problems += [f'{what}: {error}' for error in errors]

    def count(self, suite):
        counts = collections.Counter(result.status for result in self.results
                                     if result.suite == suite)
        return [counts[status] for status in ('passed', 'failed', 'skipped')]

    def suites(self):
        return list(dict.fromkeys(result.suite for result in self.results))

    def failures(self):
        """Everything that makes the run a failure, as lines to print."""
        lines = []
        for result in self.results:
            if result.status == 'failed':
                lines.append(f'{result.suite}.{result.case}')
                lines += ['    ' + line for line in result.detail.splitlines()[-8:]]
        lines += self.problems
        if lines:
            lines.append(f'the full log is {self.boot.log}')
        return lines


def skipped_everywhere(reports):
    """Cases which no machine ran: nobody knows whether they pass."""
    status = collections.defaultdict(set)
    for report in reports:
        for result in report.results:
            status[result.suite, result.case].add(result.status)
    return ['.'.join(name) for name, seen in status.items() if seen == {'skipped'}]


def command(name, log, arch=None):
    from harness import assemble
    base = Base(name)
    report = Report(Boot(log), assemble.stock(base), Expectation(base, arch=arch))
    for suite in report.suites():
        say('{}: {} passed, {} failed, {} skipped'.format(suite, *report.count(suite)))
    return show_problems(report.failures())


if __name__ == '__main__':
    main(command, *sys.argv[1:])
