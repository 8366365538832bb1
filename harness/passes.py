# SPDX-License-Identifier: GPL-2.0
"""Boot the kernel of each commit of a series, with the tests that exist by then."""

import json
import os
import re
import sys

from harness import (assemble, build, fetch, history, mutate, packages, proof, prove,
                     readme, report, suites)
from harness.project import (CACHE, Base, Failure, Machine, cache_lock, keep, machines,
                             main, say, show_problems)

# All ways in which a mapping is made; what the others add, make test boots.
MACHINES = ('x86_64-direct', 'x86_64-swiotlb', 'x86_64-iommu', 'x86_64-switch', 'xen',
            'arm64-direct')


def chosen_machines():
    """Those, or what MACHINE= selects."""
    if os.environ.get('MACHINE'):
        return machines()
    return [Machine(name) for name in MACHINES]


class CommitKernel(prove.Stage):
    """The kernel of a commit, with the tests of the series that it has."""

    log_name = 'passes-{kernel.base.name}-{kernel.arch}'

    def __init__(self, base, arch, tree, number, lost):
        super().__init__(base, arch, tree, f'commit-{number}', lost)
        self.name = f'Linux {assemble.tree_version(tree)} with {number} patches {arch}'

    def environment(self):
        # Not how often it was built here: the same kernel has the same image.
        return {**super().environment(), 'KBUILD_BUILD_VERSION': '1'}

    def used(self):
        """The sources that this build has read, below the root of the tree."""
        found = set()
        for path in self.dir.glob('**/.*.cmd'):
            text = path.read_text(errors='replace')
            found.update(os.path.normpath(name)
                         for name in re.findall(r'(?<=[\s(])\.\./([\w./+-]+\.[chS])\b', text))
        if 'init/main.c' not in found:
            raise Failure(f'{self.dir}: the .cmd files of kbuild do not say what was compiled')
        return sorted(found)


class Images:
    """Which image comes of which files, so that nobody has to build it to know."""

    def __init__(self, series, kernel):
        self.path = CACHE / 'bisect' / 'images' / history.digest(
            series.start.tree, kernel.arch, kernel.fragment(), build.compiler_version(kernel.arch),
            build.REPRODUCIBLE)
        self.known = json.loads(self.path.read_text()) if self.path.exists() else []

    @staticmethod
    def content(commit, used):
        """What of a commit may matter to a build that uses these sources."""
        return [list(pair) for pair in commit.part(
            lambda name: name in used if name.endswith(('.c', '.h', '.S'))
            else not history.ASIDE.match(name))]

    def find(self, commit):
        for entry in self.known:
            if self.content(commit, set(entry['used'])) == entry['content']:
                return entry['image']
        return None

    def add(self, commit, kernel):
        used, image = kernel.used(), fetch.sha256(kernel.image)
        self.known.append({'used': used, 'content': self.content(commit, set(used)),
                           'image': image})
        keep(self.path, json.dumps(self.known))
        return image


class Walk:
    """Build and boot what is not known to pass yet."""

    def __init__(self, series):
        self.series = series
        self.base = series.base
        self.tree = CACHE / 'passes' / series.repo.name
        self.boots = self.kernels = 0
        names = [readme.subject(self.base, patch) for patch, _ in self.base.series()]
        # The newer kernel that KERNEL= names may have some of the patches already.
        self.positions = {commit.name: names.index(commit.subject) + 1
                          for commit in series.commits}

    def part(self, commit):
        """The base with the patches up to a commit."""
        return proof.only(self.base, self.base.series()[:self.positions[commit.name]])

    def tested(self, commits=None):
        """The commits that have tests."""
        return [commit for commit in self.series.commits if commits is None or commit in commits
                if report.Expectation(self.part(commit)).suites]

    def kernel(self, commit, arch):
        if not self.tree.exists():
            assemble.check_out(self.series.repo, self.tree, commit.name)
        position = self.positions[commit.name]
        later = [patch for patch, _ in self.base.series()[position:]]
        return CommitKernel(self.base, arch, self.tree, position,
                            proof.new_options(self.base, later))

    def proof(self, commit, expectation, machine, image):
        """The file that is there if an image is known to pass on a machine."""
        programs = commit.part(lambda name: name.startswith('tools/testing/selftests/')) \
            if expectation.programs else []
        cases = sorted((suite, sorted(found)) for suite, found in expectation.suites.items())
        return CACHE / 'bisect' / 'passed' / history.digest(
            image, machine.name, mutate.judges(machine.name), build.program_text(build.INIT),
            cases, expectation.arguments(), programs)

    def commit(self, commit, arch, group):
        """What is wrong with the tests of a commit on the machines of an architecture."""
        expectation = report.Expectation(self.part(commit), arch=arch)
        if not expectation.suites:
            return []
        kernel = self.kernel(commit, arch)
        images = Images(self.series, kernel)
        image = images.find(commit)
        if image and all(self.proof(commit, expectation, machine, image).exists()
                         for machine in group):
            return []
        say(f'  {self.base.name}: commit {self.series.number(commit)} of '
            f'{len(self.series.commits)}, "{commit.subject}": {len(expectation.suites)} suites '
            f'for {arch}')
        assemble.check_out(self.series.repo, self.tree, commit.name)
        kernel.programs = bool(expectation.programs)
        try:
            kernel.build()
        except Failure as failure:
            return [f'{self.base.name}: "{commit.subject}": {failure}']
        self.kernels += 1
        image = image or images.add(commit, kernel)
        left = [machine for machine in group
                if not self.proof(commit, expectation, machine, image).exists()]
        if not left:
            say('    the image is one that passes')
            return []
        return self.boot(commit, kernel, expectation, left, image)

    def boot(self, commit, kernel, expectation, left, image):
        problems = []
        reports = suites.boot_all([(kernel, machine, expectation) for machine in left])
        for machine, found in zip(left, reports):
            self.boots += 1
            passed = sum(result.status == 'passed' for result in found.results)
            failures = found.failures()
            say(f'    {machine.name}: {passed} of {len(found.results)} cases passed, the others '
                f'{"skipped" if not failures else "skipped or failed"}')
            if failures:
                problems += [f'{self.base.name}: "{commit.subject}" on {machine.name}: {line}'
                             for line in failures]
                continue
            path = self.proof(commit, expectation, machine, image)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({'passed': passed, 'cases': len(found.results)}))
        return problems


def early_configurations(base):
    """.kunitconfig files that come before the tests which they turn on."""
    problems = []
    for number, (patch, files) in enumerate(base.series(), 1):
        later = proof.new_options(base, [other for other, _ in base.series()[number:]])
        for name in files:
            if name.endswith('.kunitconfig'):
                text = (base.root / name).read_text()
                early = sorted(set(re.findall(r'^CONFIG_(\w+)=', text, re.M)) & later)
                problems += [f'{base.name}/{patch}: {name} turns on {option}, which a later patch '
                             f'brings' for option in early]
    return problems


def check(base, first=None, last=None):
    """Every commit passes, on each machine, all the tests that exist by then."""
    chosen = chosen_machines()
    packages.for_arch(*suites.by_arch(chosen))
    suites.prepare(chosen)
    series = history.Series(base)
    walk = Walk(series)
    problems = early_configurations(base)
    commits = series.commits[(first or 1) - 1:last]
    for commit in commits:
        for arch, group in suites.by_arch(chosen).items():
            problems += walk.commit(commit, arch, group)
    say(f'  {base.name}: {len(walk.tested(commits))} commits have tests, and ran on '
        f'{len(chosen)} machines; {walk.kernels} kernels and {walk.boots} boots were new')
    return problems


def command(name, first=None, last=None):
    with cache_lock():
        problems = check(Base(name), history.position(first), history.position(last))
    return show_problems(problems)


if __name__ == '__main__':
    main(command, *sys.argv[1:])
