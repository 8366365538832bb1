# SPDX-License-Identifier: GPL-2.0
"""Compile each commit of a series where it stands, with each option that matters on and off."""

import hashlib
import json
import re
import sys
from pathlib import Path

from harness import assemble, build, compilers, packages
from harness.assemble import git
from harness.project import CACHE, Base, Failure, cache_lock, main, output_of, say

# Each option that is turned off, with what selects it and has to go, too.
WITHOUT = {
    'SWIOTLB': ('INTEL_IOMMU',),
    'DMA_API_DEBUG': (),
    'PCI_P2PDMA': (),
    'HMM_MIRROR': ('INFINIBAND_ON_DEMAND_PAGING', 'DRM_XE', 'HSA_AMD', 'DRM_AMDGPU_USERPTR'),
    'IOMMU_DMA': ('IOMMU_SUPPORT', 'INTEL_IOMMU'),
    'XEN': (),
    'KUNIT': (),
}
# What x86_64 cannot be without, and another architecture can.
ELSEWHERE = {'SWIOTLB': 'i386'}


def name_of(options):
    """Configurations that have a warning, as far as it is not all."""
    if None in options:
        return 'with everything'
    return 'without ' + ' or '.join(
        f'{option} on {ELSEWHERE[option]}' if option in ELSEWHERE else option
        for option in options)


class Step(compilers.Partial):
    """The commit that is checked out, with everything on but perhaps one option."""

    def __init__(self, base, tree, option=None):
        arch = ELSEWHERE.get(option, 'x86_64')
        super().__init__(base, arch, source=tree)
        self.option = option
        self.name = f'{base.name} {name_of([option])}'
        name = f'bisect-without-{option}' if option else 'bisect-with-everything'
        self.dir = tree / name
        self.log = CACHE / 'log' / f'{name}-{base.name}.log'

    def fragment(self):
        text = super().fragment()
        for option in (self.option, *WITHOUT[self.option]) if self.option else ():
            text = re.sub(rf'^CONFIG_{option}=.*\n', '', text, flags=re.M) \
                + f'# CONFIG_{option} is not set\n'
        return text

    def warnings(self, kconfig, sources, depends):
        """What the compiler says of the sources, and which objects are made from them."""
        stamp = self.dir / 'configured'
        configured = kconfig + self.fragment()
        if not stamp.exists() or stamp.read_text() != configured:
            # Once it was prepared, compiling does the rest.
            target = 'syncconfig' if stamp.exists() else 'prepare'
            stamp.unlink(missing_ok=True)
            self.prepare(target)
            stamp.write_text(configured)
        objects = [name for name in self.enabled(sources)
                   if not self.option or self.option in depends.get(name, [self.option])]
        for name in objects:
            (self.dir / name).unlink(missing_ok=True)
        return objects, self.compile(objects) if objects else ''

    def depends(self, objects):
        """The options that each object depends on, as kbuild has found."""
        found = {}
        for name in objects:
            path = self.dir / name
            try:
                text = path.with_name(f'.{path.name}.cmd').read_text()
            except FileNotFoundError:
                continue
            found[name] = [option for option in WITHOUT if f'include/config/{option})' in text]
        return found


class Series:
    """The commits of a series, and which files each one can break."""

    def __init__(self, base):
        self.base = base
        self.repo = assemble.stock(base)
        last = assemble.assembled_commit(self.repo, base)
        self.commits = git(self.repo, 'rev-list', '--reverse', f'base..{last}').split()
        touched = git(self.repo, 'diff', '--name-only', 'base', last).splitlines()
        touched = [name for name in touched if not name.startswith('tools/')]
        self.sources = {name for name in touched if name.endswith('.c')}
        self.kconfigs = [name for name in touched if Path(name).name.startswith('Kconfig')]
        self.directories = {str(Path(name).parent) for name in self.sources}

    def before(self, commit):
        return git(self.repo, 'rev-parse', f'{commit}^').strip()

    def tree_of(self, commit):
        return git(self.repo, 'rev-parse', f'{commit}^{{tree}}').strip()

    def kconfig(self, commit):
        """Changes whenever the kernel has other options."""
        return git(self.repo, 'rev-parse', 'base') \
            + git(self.repo, 'ls-tree', commit, '--', *self.kconfigs)

    def including(self, commit, names, kind):
        """The files of a kind in the touched directories that include one of the headers."""
        pattern = '|'.join(re.escape(Path(name).name) for name in names)
        try:
            found = git(self.repo, 'grep', '-lE', rf'#include [<"](.*/)?({pattern})[>"]', commit,
                        '--', *(f':(glob){directory}/*.{kind}' for directory in self.directories))
        except Failure:
            # git grep fails if there is none.
            return set()
        return {line.partition(':')[2] for line in found.splitlines()}

    def affected(self, commit):
        """C files that a commit changes, and those that include what it changes."""
        changed = {name for name in git(self.repo, 'diff-tree', '-r', '--no-commit-id',
                                        '--name-only', '--no-renames', commit).splitlines()
                   if not name.startswith('tools/')}
        sources = {name for name in changed if name.endswith('.c')}
        headers = more = {name for name in changed if name.endswith('.h')}
        while more:
            more = self.including(commit, more, 'h') - headers
            headers = headers | more
        return sources | (self.including(commit, headers, 'c') if headers else set())


class Walk:
    """Compile what is not known yet."""

    def __init__(self, series):
        self.series = series
        self.tree = CACHE / 'bisect' / series.repo.name
        self.compilers = ''.join(sorted({output_of([settings['cross'] + 'gcc', '--version'])
                                         for settings in (build.ARCH['x86_64'],
                                                          build.ARCH['i386'])}))
        self.compiled = 0
        self.at = None

    def check_out(self, commit):
        if self.at != commit:
            assemble.check_out(self.series.repo, self.tree, commit)
            self.at = commit

    def result(self, commit, sources, option, depends):
        """What is wrong with a commit in a configuration; from the cache if it is there."""
        series = self.series
        if not self.tree.exists():
            self.check_out(commit)
        step = Step(series.base, self.tree, option)
        before = series.before(commit)
        key = hashlib.sha256(repr((series.tree_of(before), series.tree_of(commit), sorted(sources),
                                   sorted(depends.items()), step.fragment(), self.compilers,
                                   build.REPRODUCIBLE)).encode()).hexdigest()[:24]
        cached = CACHE / 'bisect' / 'results' / key
        if cached.exists():
            return json.loads(cached.read_text())
        objects = {name[:-2] + '.o' for name in sources}
        if objects <= depends.keys() and not any(option in depends[name] for name in objects):
            return {'problems': [], 'off': True, 'depends': {}}
        said, found = {}, {}
        # Changing between the two is not free, so first where the tree is already.
        for where in sorted((before, commit), key=lambda where: where != self.at):
            self.check_out(where)
            there = [name for name in sources if (self.tree / name).exists()]
            objects, said[where] = step.warnings(series.kconfig(where), there, depends)
            if where == commit:
                found = {'off': not option or not step.has(option),
                         'depends': {} if option else step.depends(objects)}
        found['problems'] = sorted(compilers.normalise(said[commit])
                                   - compilers.normalise(said[before]))
        self.compiled += 1
        cached.parent.mkdir(parents=True, exist_ok=True)
        cached.write_text(json.dumps(found))
        return found

    def commit(self, commit):
        """The result of each configuration."""
        sources = self.series.affected(commit)
        if not sources:
            return {}
        results = {None: self.result(commit, sources, None, {})}
        # Whoever only includes a header is compiled with everything.
        sources &= self.series.sources
        for option in WITHOUT:
            results[option] = self.result(commit, sources, option, results[None]['depends'])
        return results


def check(base, last=None):
    """Every commit of the series, or the last ones, has no warning that it brings."""
    series = Series(base)
    walk = Walk(series)
    problems, forced = [], set()
    commits = series.commits[-last if last else 0:]
    for commit in commits:
        subject = git(series.repo, 'show', '--no-patch', '--format=%s', commit).strip()
        found = {}
        for option, result in walk.commit(commit).items():
            for problem in result['problems']:
                found.setdefault(problem, []).append(option)
            if not result['off']:
                forced.add(option)
        problems += [f'{base.name}: "{subject}" {name_of(options)}: {problem}'
                     for problem, options in sorted(found.items())]
    off = [option for option in WITHOUT if option not in forced]
    say(f'  {base.name}: {len(commits)} commits compiled with everything and without '
        f'{", ".join(off)}' + (f'; {", ".join(sorted(forced))} cannot be turned off' * bool(forced))
        + f'; {walk.compiled} configurations of commits were new')
    return problems


def command(name, last=None):
    compilers_needed = [build.ARCH[arch]['cross'] + 'gcc' for arch in ELSEWHERE.values()]
    packages.ensure(packages.BUILD, {name: packages.CROSS[name] for name in compilers_needed})
    with cache_lock():
        problems = check(Base(name), last and int(last))
    for problem in problems:
        say(problem)
    return bool(problems)


if __name__ == '__main__':
    main(command, *sys.argv[1:])
