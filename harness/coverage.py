# SPDX-License-Identifier: GPL-2.0
"""Which lines and branches that the series adds a test runs, on any machine.

Also what the machine runs when it starts: KUnit is done before anybody could set the
counts to zero.
"""

import collections
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from harness import assemble, build, compilers, packages, readme, record, report
from harness.project import (Base, Failure, cache_lock, default_machines, is_kernel_code, load_toml,
                             machines, main, relative, say)
from harness.suites import bases_with, boot_all, by_arch, prepare

# Counters that no other processor disturbs. Without the rest gcc would fold branches
# that stand in the source, or copy them to other lines, before it counts them.
FLAGS = ('-fprofile-arcs -ftest-coverage -fprofile-update=atomic -fno-tree-loop-im '
         '-fno-early-inlining -fno-thread-jumps -fno-ssa-phiopt -fno-tree-vrp -fno-tree-fre')
# The kernel has none of the functions that gcc would call for atomic counters.
ARCH_FLAGS = {'arm64': ' -mno-outline-atomics'}


class Counted(build.Kernel):
    """A kernel in which the objects of the files that the series touches count what runs."""

    def __init__(self, base, arch):
        super().__init__(base, arch)
        self.flavour = 'coverage'
        self.dir = self.source / f'build-{arch}-{self.flavour}'
        self.name += ' that counts'
        self.sources = [name for name in compilers.touched_sources(self.source)
                        if compilers.is_compiled(base, name, arch)]

    def wanted(self):
        return super().wanted() + (build.KCONFIG / 'coverage.config').read_text()

    def make(self, *arguments):
        # By path: other directories have objects of the same name.
        objects = ' '.join(name[:-2] + '.o' for name in self.sources)
        return [*super().make(*arguments), f'CFLAGS_GCOV={FLAGS}{ARCH_FLAGS.get(self.arch, "")}',
                f'GCOV_PROFILE=$(if $(filter {objects},$@),y,n)']


# What ran

COUNTS = re.compile(r'harness: gcov (?:end (\S+) (\d+)|([0-9a-f]+))$')


def files_in(log):
    """The files of counts that a machine has printed at its end."""
    files, data = {}, ''
    for line in log.lines():
        found = COUNTS.search(line)
        if found and found[3]:
            data += found[3]
        elif found:
            if len(data) != 2 * int(found[2]):
                raise Failure(f'{relative(log.log)} has only part of {found[1]}')
            files[found[1]], data = bytes.fromhex(data), ''
    if not files:
        raise Failure(f'{relative(log.log)} has no counts')
    return files


def gcov(kernel, machine, log):
    """What gcov makes of the counts of one machine, object by object."""
    work = kernel.dir / 'gcov' / machine.name
    shutil.rmtree(work, ignore_errors=True)
    names = []
    for path, data in files_in(log).items():
        name = Path(path).relative_to(kernel.dir)
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(data)
        shutil.copy(kernel.dir / name.with_suffix('.gcno'), (work / name).with_suffix('.gcno'))
        names.append(str(name))
    done = subprocess.run([build.ARCH[kernel.arch]['cross'] + 'gcov', '--json-format',
                           '--stdout', '--branch-probabilities', '--branch-counts', *names],
                          cwd=work, capture_output=True, text=True)
    if done.returncode or done.stderr:
        raise Failure(f'gcov for {machine.name}: {done.stderr.strip().splitlines()[0]}')
    return [json.loads(line) for line in done.stdout.splitlines()]


class Counts:
    """How often each line ran and each branch of it was taken, in all kernels together.

    An inline function has lines in several objects, and both architectures have all of
    them: a line has run if it did in one. Of two copies of a line one may have more
    branches, as gcc knows less of its operands there; that one is what counts.
    """

    def __init__(self):
        # (file, line) -> (architecture, object, function) -> [count, branches]
        self.copies = collections.defaultdict(dict)
        # (file, line) -> the machines that run it
        self.machines = collections.defaultdict(set)

    def add(self, kernel, machine, document):
        """What gcov says of one object on one machine."""
        cwd = Path(document['current_working_directory'])
        for file in document['files']:
            path = (cwd / file['file']).resolve()
            if not path.is_relative_to(kernel.source):
                continue
            name = str(path.relative_to(kernel.source))
            for line in file['lines']:
                key = (kernel.arch, document['data_file'], line.get('function_name'))
                branches = [branch['count'] for branch in line['branches']]
                if line['count']:
                    self.machines[name, line['line_number']].add(machine.name)
                copies = self.copies[name, line['line_number']]
                if key in copies and len(copies[key][1]) == len(branches):
                    copies[key][0] += line['count']
                    copies[key][1] = [a + b for a, b in zip(copies[key][1], branches)]
                elif key not in copies:
                    copies[key] = [line['count'], branches]
                else:
                    raise Failure(f'gcov finds {len(branches)} branches in {name}:'
                                  f'{line["line_number"]} and {len(copies[key][1])} elsewhere')

    def files(self):
        return {name for name, _ in self.copies}

    def is_code(self, name, number):
        return (name, number) in self.copies

    def count(self, name, number):
        return sum(count for count, _ in self.copies[name, number].values())

    def branches(self, name, number):
        lists = [branches for _, branches in self.copies[name, number].values()]
        most = max(map(len, lists))
        return tuple(map(sum, zip(*(some for some in lists if len(some) == most))))


# What the series adds

def added_lines(tree):
    """The lines that the series adds to kernel code that is no test, by file and number."""
    added, name, number = {}, None, 0
    for line in assemble.git(tree, 'diff', '--unified=0', '--no-renames', '--diff-filter=d',
                             'base', 'HEAD', '--', '*.c', '*.h').splitlines():
        if line.startswith('+++ b/'):
            name = line[6:]
        elif line.startswith('@@'):
            number = int(re.search(r'\+(\d+)', line)[1])
        elif line.startswith('+') and not line.startswith('+++'):
            if is_kernel_code(name):
                added.setdefault(name, {})[number] = line[1:].strip()
            number += 1
    return added


BODY = re.compile(r'^[A-Za-z_][^;{}#]*?\b(?P<name>\w+)\([^;{}]*?\)[\w\s()]*'
                  r'(?P<body>^\{\n.*?^\}|\{[^\n]*\}$)', re.M | re.S)
COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*', re.S)
Function = collections.namedtuple('Function', 'name first')


def without_comments(text):
    """The same lines, without what is not compiled."""
    return COMMENT.sub(lambda found: re.sub(r'[^\n]', ' ', found[0]), text)


def functions(text):
    """The function that each line of a C file is in."""
    text = without_comments(text)
    lines = {}
    for found in BODY.finditer(text):
        # Some have nothing to run.
        if ';' not in found['body']:
            continue
        first = text.count('\n', 0, found.start()) + 1
        for number in range(first, first + found[0].count('\n') + 1):
            lines[number] = Function(found['name'], first)
    return lines


def patch_of_lines(base, tree, name):
    """The patch that each line of a file comes from, by number."""
    patches = {readme.subject(base, patch): patch for patch, _ in base.series()}
    commits = dict(line.split(' ', 1) for line in assemble.git(
        tree, 'log', '--format=%H %s', 'base..HEAD').splitlines())
    lines = re.findall(r'^([0-9a-f]{40}) \d+ (\d+)',
                       assemble.git(tree, 'blame', '--porcelain', 'base..HEAD', '--', name), re.M)
    return {int(number): patches[commits[commit]] for commit, number in lines
            if commit in commits}


def tested_on(base, tree, counts):
    """The machines that run something of a patch, for each patch with something to run."""
    tested = {}
    for name in added_lines(tree):
        text = without_comments((tree / name).read_text(errors='replace'))
        known, code = functions(text), text.splitlines()
        # A diff of all patches may take another one of two lines that are the same.
        for number, patch in patch_of_lines(base, tree, name).items():
            # No machine may compile the file; of those that are, labels are not counted.
            if counts.is_code(name, number) or name not in counts.files() \
                    and number in known and code[number - 1].strip(' \t{}'):
                tested.setdefault(patch, set()).update(counts.machines[name, number])
    return tested


# What macros make of a line: nobody has written the branches in it.
MACROS = re.compile(r'\b\w*(?:WARN|BUG)\w*\(|\b\w+_(?:ratelimited|once)\('
                    r'|\b(?:err_printk|ilog2|k[mz]alloc)\(')


class Hole(collections.namedtuple('Hole', 'file number function line ran branches',
                                 defaults=[None, None, None, False, ()])):
    """What no test runs: a file or function no machine compiles, a line, or branches of one."""

    @property
    def untaken(self):
        return self.branches.count(0)

    def __str__(self):
        if not self.number:
            return f'{self.file}: no machine compiles it'
        where = f'{self.file}:{self.number}: '
        if not self.line:
            return f'{where}no machine compiles {self.function}()'
        if self.ran:
            counts = ' '.join(map(str, self.branches))
            where += f'{self.untaken} of {len(self.branches)} branches not taken ({counts}): '
        return where + self.line


class File:
    """What became of the lines that the series adds to one file."""

    def __init__(self, name, text, added, counts):
        self.name = name
        self.lines = self.run = self.branches = self.taken = 0
        self.holes = []
        # Functions of which some added line ran.
        self.ran = set()
        known = functions(text)
        if name not in counts.files():
            if any(number in known and line for number, line in added.items()):
                self.holes.append(Hole(name))
            return
        compiled = {known.get(number) for other, number in counts.copies if other == name}
        for number, line in added.items():
            function = known.get(number)
            if counts.is_code(name, number):
                self.add(number, line, function and function.name, counts)
            elif function and function not in compiled:
                compiled.add(function)
                self.holes.append(Hole(name, number, function.name))

    def add(self, number, line, function, counts):
        branches = () if MACROS.search(line) else counts.branches(self.name, number)
        taken = len(branches) - branches.count(0)
        ran = counts.count(self.name, number) > 0
        self.lines += 1
        self.run += ran
        self.branches += len(branches)
        self.taken += taken
        if ran:
            self.ran.add(function)
        if not ran or taken < len(branches):
            self.holes.append(Hole(self.name, number, function, line, ran, branches))


# Reasons

class Reason:
    """Why no test runs something: an entry of coverage.toml."""

    KEYS = {'file', 'function', 'line', 'branches', 'reason'}

    def __init__(self, entry):
        self.file = entry['file']
        self.function = entry.get('function')
        self.line = entry.get('line')
        # How many of a line that runs.
        self.branches = entry.get('branches', 0)
        self.reason = entry['reason']

    def __str__(self):
        return ', '.join(filter(None, (
            self.file, self.function and f'{self.function}()', self.line,
            self.branches and f'{self.branches} branches')))

    def explains(self, hole, file):
        if self.file != hole.file:
            return False
        if self.line:
            return (self.function, self.line) == (hole.function, hole.line) and \
                self.branches == (hole.untaken if hole.ran else 0)
        # All of a function or a file, of which nothing runs.
        return self.function == hole.function and self.function not in file.ran \
            if self.function else not hole.number


def reasons(base):
    path = base.dir / 'coverage.toml'
    entries = load_toml(path, 'unrun')['unrun'] if path.exists() else []
    for entry in entries:
        wrong = {'file', 'reason'} - set(entry) or set(entry) - Reason.KEYS
        if wrong:
            raise Failure(f'{relative(path)}: the entry for {entry.get("file", "no file")} '
                          f'lacks or should not have {", ".join(sorted(wrong))}')
    return [Reason(entry) for entry in entries]


class Coverage:
    """What became of every line that the series adds to a base, and what explains it."""

    def __init__(self, base, tree, counts):
        self.base = base
        self.tree = tree
        self.counts = counts
        self.files = [File(name, (tree / name).read_text(errors='replace'), lines, counts)
                      for name, lines in sorted(added_lines(tree).items())]
        # The reason for each hole, if there is one.
        self.holes = {}
        known = reasons(base)
        left = list(known)
        for file in self.files:
            for hole in file.holes:
                # An entry for a line is for one of those that look the same.
                found = next((reason for reason in known if reason.explains(hole, file)
                              and (reason in left or not reason.line)), None)
                left = [reason for reason in left if reason is not found]
                self.holes[hole] = found
        self.unneeded = left

    def problems(self):
        path = relative(self.base.dir / 'coverage.toml')
        return [f'no test runs this, and {path} says no reason: {hole}'
                for hole, reason in self.holes.items() if not reason] + \
            [f'{path} has a reason that is not needed: {reason}' for reason in self.unneeded]

    def show(self):
        for file in self.files:
            if file.lines or file.holes:
                say(f'{file.name}: {file.run} of {file.lines} lines, '
                    f'{file.taken} of {file.branches} branches')
            for hole in file.holes:
                say(f'  {hole}')
                if self.holes[hole]:
                    say(f'    {self.holes[hole].reason}')

    def sentence(self):
        def total(what):
            return sum(getattr(file, what) for file in self.files)

        def lost(explained):
            found = [hole for hole, reason in self.holes.items()
                     if hole.line and bool(reason) == explained]
            return (sum(not hole.ran for hole in found), sum(hole.untaken for hole in found),
                    sum(not hole.line and bool(reason) == explained
                        for hole, reason in self.holes.items()))

        text = (f'{self.base.name}: {total("run")} of {total("lines")} added lines and '
                f'{total("taken")} of {total("branches")} branches run by a test')
        for explained, words in ((True, 'with'), (False, 'WITHOUT')):
            lines, branches, whole = lost(explained)
            if lines or branches:
                text += f', {lines} lines and {branches} branches {words} a reason'
            if whole:
                text += f', {whole} files or functions that no machine compiles {words} a reason'
        return text


def measure(base, chosen, pattern=None):
    """Boot the machines for all tests; what ran of the series, and what was wrong."""
    counts, problems = Counts(), []
    for arch, group in by_arch(chosen).items():
        kernel = Counted(base, arch).build()
        reports = boot_all([(kernel, machine, report.Expectation(base, pattern, arch))
                            for machine in group])
        for machine, found in zip(group, reports):
            say(f'  {base.name}: all tests on {machine.name}')
            failures = [f'{machine.name}: {line}' for line in found.failures()]
            problems += failures
            try:
                documents = gcov(kernel, machine, found.boot)
            except Failure as failure:
                # What has kept the machine from printing its counts, if that is known.
                raise Failure('\n'.join([*failures, str(failure)])) from failure
            for document in documents:
                counts.add(kernel, machine, document)
    return Coverage(base, kernel.source, counts), problems


def result(base):
    """One sentence for the record."""
    chosen, digest = default_machines(), base.digest()
    prepare(chosen)
    found, problems = measure(base, chosen)
    problems += found.problems()
    if problems:
        raise Failure('\n'.join(problems))
    if os.environ.get('RECORD') and base.digest() == digest:
        record.keep_tested(base, tested_on(base, found.tree, found.counts))
    return found.sentence()


def command(*names):
    chosen = machines()
    pattern = os.environ.get('SUITE')
    packages.for_arch(*by_arch(chosen))
    failed = False
    with cache_lock():
        prepare(chosen)
        for base in bases_with(pattern, [Base(name) for name in names]
                               or assemble.chosen_bases()):
            found, problems = measure(base, chosen, pattern)
            found.show()
            problems += found.problems()
            for line in problems:
                say(line)
            say(found.sentence())
            failed = failed or bool(problems)
    return failed


if __name__ == '__main__':
    main(command, *sys.argv[1:])
