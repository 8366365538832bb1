# SPDX-License-Identifier: GPL-2.0
"""series/<base>/proof.toml: the cases that show what each patch of a series is good for."""

import collections
import copy
import fnmatch
import os
import re
import sys

from harness import report
from harness.assemble import files_of
from harness.project import (Base, Failure, Machine, load_toml, machine_names, main, relative,
                             say, without_number)

# What a patch that only adds tests changes, and one that no test can tell from its absence.
TESTS = r'(?:^|/)(?:tests|selftests)/|^include/kunit/'
BUILD = r'(?:^|/)(?:Kconfig|Makefile|MAINTAINERS)$'
ASIDE = r'^(?:Documentation|scripts|tools)/'


class Proof(collections.namedtuple('Proof', 'patch machine pattern')):
    """Cases that fail on a machine without the patch, and pass with it."""

    @property
    def suite(self):
        return self.pattern.partition('.')[0]


# A patch of tests that cannot be compiled before another patch, and what is missing until then.
Need = collections.namedtuple('Need', 'patch why')


def path(base):
    return base.dir / 'proof.toml'


def only(base, patches):
    """The base with some of its patches, in the given order."""
    part = copy.copy(base)
    part.series = lambda: patches
    return part


def new_options(base, patches):
    """The options that some patches bring."""
    return {option for patch in patches
            for option in re.findall(r'^\+(?:menu)?config (\w+)$',
                                     (base.dir / patch).read_text(), re.M)}


def matches(pattern, result):
    """Whether a pattern names a case; one without a parameter names them all."""
    name = f'{result.suite}.{result.case}'
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, pattern + '.*')


class Cases(report.Expectation):
    """The suites and programs that some patterns name, and the cases in them."""

    # More than our init hands on to a program.
    TOO_MANY = 16

    def __init__(self, base, patterns, arch=None):
        super().__init__(base, arch=arch)
        self.whole = self.programs
        suites, programs = {}, {}
        for pattern in patterns:
            # A parameter comes after the case, a fixture and its variant before the test.
            suite, _, rest = pattern.partition('.')
            for table, known, case in ((suites, self.suites, rest.partition('.')[0]),
                                       (programs, self.programs, rest.rpartition('.')[2])):
                for name, cases in self.narrow(known, suite, case or '*').items():
                    table.setdefault(name, set()).update(cases)
        self.suites, self.programs = suites, programs

    def case_of(self, result):
        """The case of a result: without parameter, or without fixture and variant."""
        words = result.case.split('.')
        return f'{result.suite}.{words[-1 if result.suite in self.programs else 0]}'

    def glob(self):
        """The kernel takes one only, which may let more through."""
        cases = [case for found in self.suites.values() for case in found]
        return f'{common(self.suites)}.{common(cases)}'

    def arguments(self):
        words = []
        for name, cases in sorted(self.programs.items()):
            few = cases != self.whole[name] and len(cases) < self.TOO_MANY
            words.append(name + ''.join(f':-t:{case}' for case in sorted(cases) if few))
        return ' '.join(words) or 'none'


def common(names):
    names = sorted(set(names))
    return names[0] if len(names) == 1 else os.path.commonprefix(names) + '*'


class Plan:
    """What proves the patches of a series, and in which order they are applied for that.

    All tests come first, and the rest in its own order: so that every case can run on
    the kernel as it was before a patch, and on the one right after it.
    """

    def __init__(self, base):
        self.base = base
        self.source = relative(path(base))
        entries = load_toml(path(base))
        self.proofs, self.untested, self.needs = {}, {}, {}
        # Patches of tests that also let them see what is static, and nothing else.
        self.opening = set()
        self.problems = []
        self.patches = {without_number(patch): patch for patch, _ in base.series()}
        for entry in entries.get('test', []):
            self.read_test(entry)
        self.tests = [(patch, files) for patch, files in base.series()
                      if patch in self.opening | set(self.needs) or self.only_tests(patch, files)]
        self.rest = [found for found in base.series() if found not in self.tests]
        for test, need in list(self.needs.items()):
            if need.patch in dict(self.tests):
                self.wrong(f'{without_number(test)} needs {without_number(need.patch)}, which is '
                           f'a test as well')
                del self.needs[test]
        for entry in entries.get('patch', []):
            self.read_patch(entry)
        self.check()

    def changed(self, patch, files):
        return files_of([self.base.dir / patch]).union(files)

    @staticmethod
    def brings_tests(files):
        return any(re.search(TESTS, name) for name in files)

    def only_tests(self, patch, files):
        return self.brings_tests(files) and \
            all(re.search(f'{TESTS}|{BUILD}', name) for name in self.changed(patch, files))

    def is_aside(self, patch, files):
        """Documents, scripts and tools: they leave the kernel as it was."""
        return all(re.search(f'{ASIDE}|{BUILD}', name)
                   for name in self.changed(patch, files))

    def wrong(self, words):
        self.problems.append(f'{self.source}: {words}')

    def named(self, name):
        if name not in self.patches:
            self.wrong(f'{name} is no patch of the series')
        return self.patches.get(name)

    def read_test(self, entry):
        name = entry.get('name')
        patch = self.named(name)
        needed = self.named(entry['needs']) if 'needs' in entry else None
        if not entry.get('why') or not set(entry) <= {'name', 'needs', 'why'}:
            self.wrong(f'{name}: expected why = and perhaps needs =, since a test with '
                       f'an entry has to say why')
        elif patch and needed:
            self.needs[patch] = Need(needed, entry['why'])
        elif patch and 'needs' not in entry:
            self.read_opening(patch)

    def read_opening(self, patch):
        files = dict(self.base.series())[patch]
        if not self.brings_tests(files):
            self.wrong(f'{without_number(patch)} brings no tests, and is said to be one')
        elif self.only_tests(patch, files):
            self.wrong(f'{without_number(patch)} only adds tests, which need not be said to be so')
        else:
            self.opening.add(patch)

    def read_patch(self, entry):
        name = entry.get('name')
        patch = self.named(name)
        if not patch:
            return
        if patch in dict(self.tests):
            self.wrong(f'{name} only adds tests, which need no proof')
        elif set(entry) == {'name', 'untested'}:
            self.untested[patch] = entry['untested']
        elif set(entry) == {'name', 'machine', 'cases'} and entry['cases'] \
                and isinstance(entry['cases'], list):
            self.read_cases(patch, entry['machine'], entry['cases'])
        else:
            self.wrong(f'{name}: expected either machine = and cases =, or untested =')

    def read_cases(self, patch, machine, patterns):
        if machine not in machine_names():
            self.wrong(f'{without_number(patch)}: unknown machine {machine}: choose one of '
                       f'{", ".join(machine_names())}')
            return
        for pattern in patterns:
            cases = Cases(self.base, [pattern], Machine(machine).arch)
            if not cases.suites and not cases.programs:
                self.wrong(f'{without_number(patch)}: no test on {machine} has a case {pattern}')
            self.proofs.setdefault(patch, []).append(Proof(patch, machine, pattern))

    def check(self):
        for patch, files in self.rest:
            if patch in self.proofs and patch in self.untested:
                self.wrong(f'{without_number(patch)} has cases, and is said to be untested')
            elif patch not in self.proofs and patch not in self.untested \
                    and not self.is_aside(patch, files):
                self.wrong(f'{without_number(patch)} has no entry: name cases that fail without '
                           f'it, or say why there are none')

    def checked(self):
        if self.problems:
            raise Failure('\n'.join(self.problems))
        return self

    def order(self):
        return self.tests + self.rest

    def position(self, patch):
        """How many patches that are no tests come before this one."""
        return [name for name, _ in self.rest].index(patch)

    def pending(self, applied):
        """The patches of tests that cannot be compiled yet, and what is missing."""
        return {test: need for test, need in self.needs.items()
                if self.position(need.patch) >= applied}

    def lost_options(self, applied):
        """The options that a kernel with only some of the patches has not, or must not set."""
        return new_options(self.base, [*self.pending(applied),
                                       *(patch for patch, _ in self.rest[applied:])])

    def unbuilt(self, applied):
        """The suites that cannot be compiled yet, and why."""
        files = dict(self.tests)
        return {suite: need.why for test, need in self.pending(applied).items()
                for suite in report.Expectation(only(self.base, [(test, files[test])])).suites}

    def steps(self, proofs):
        """The kernels to boot, as numbers of patches, each with what to look at there."""
        wanted = {}
        for proof in proofs:
            at = self.position(proof.patch)
            # As the base is, right before the patch, and with it.
            for applied in (0, at, at + 1):
                wanted.setdefault(applied, {})[proof] = True
        return {applied: list(wanted[applied]) for applied in sorted(wanted)}


class Seen:
    """What became of the cases of a proof on one kernel."""

    def __init__(self, results=(), wrong=None):
        self.results = {f'{result.suite}.{result.case}': result for result in results}
        # Instead of results, or besides good ones.
        self.wrong = wrong

    def names(self, *statuses):
        return {name for name, result in self.results.items() if result.status in statuses}

    def fails(self, name):
        return bool(self.wrong) or name in self.names('failed')

    def __str__(self):
        if self.wrong:
            return self.wrong
        counts = [(len(self.names(status)), status) for status in ('failed', 'passed', 'skipped')]
        if len(self.results) == 1:
            return next(status for count, status in counts if count)
        failed, passed, skipped = (count for count, _ in counts)
        if failed:
            return f'{failed} of {failed + passed} fail' if passed else f'all {failed} fail'
        return f'{passed} pass' if passed else f'{skipped} skipped'


def unproven(stock, before, after, case_of):
    """What keeps three observations from proving a patch; None if they do.

    One parameter of a case that fails is enough, since others may be there to show what
    works without the patch as well. But each case that a pattern names has to have one.
    """
    if after.wrong or after.names('failed'):
        return 'still fails with the patch'
    passed = {case_of(result): set() for result in after.results.values()}
    for name in after.names('passed'):
        passed[case_of(after.results[name])].add(name)
    if not passed:
        return 'does not run here'
    for why, fails in (
            ('does not run here', lambda name: True),
            ('passes on the base, which lacks the patch', stock.fails),
            ('passes without this patch as soon as those before it are there',
             lambda name: stock.fails(name) and before.fails(name))):
        useless = sorted(case for case, names in passed.items() if not any(map(fails, names)))
        if useless:
            return f'{why}: {", ".join(useless)}'
    return None


def problems(base):
    """What is wrong with proof.toml, for a base that has one."""
    return Plan(base).problems if path(base).is_file() else []


def command(name):
    plan = Plan(Base(name)).checked()
    for proofs in plan.proofs.values():
        for proof in proofs:
            say('  '.join(proof))


if __name__ == '__main__':
    main(command, *sys.argv[1:])
