# SPDX-License-Identifier: GPL-2.0
"""Compile each commit of a series where it stands, with each option that matters on and off."""

import itertools
import json
import os
import re
import sys
from pathlib import Path

from harness import assemble, build, compilers, history, packages, passes
from harness.project import (CACHE, Base, Failure, base_names, cache_lock, keep, main, say,
                             show_problems)

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
USUAL = 'x86_64'
# What that cannot be without, and another architecture can.
ELSEWHERE = {'SWIOTLB': 'i386'}

# What kbuild says before the output of a command.
COMMAND = re.compile(r'  [A-Z]+ +(?:\[M\] +)?(\S+)$')


def name_of(options):
    """Configurations that have a warning, as far as it is not all."""
    if None in options:
        return 'with everything'
    on = [option for option in options if option in build.ARCH]
    without = [f'{option} on {ELSEWHERE[option]}' if option in ELSEWHERE else option
               for option in options if option not in build.ARCH]
    return ' and '.join([f'on {arch}' for arch in on]
                        + ['without ' + ' or '.join(without)] * bool(without))


def is_shared(name):
    """What every file may include, and what says how to build it."""
    return not history.ASIDE.match(name) and (name.endswith('.h') or history.BUILD.search(name))


def by_object(text, objects):
    """The output of each command, and that of those for no object of ours for all of them."""
    said = {name: [] for name in objects}
    current = None
    for line in text.splitlines():
        found = COMMAND.match(line)
        if found:
            current = found[1]
        else:
            for name in [current] if current in said else objects:
                said[name].append(line)
    return {name: '\n'.join(lines) for name, lines in said.items()}


def by_arch(sources):
    """The sources that only an architecture besides the usual one compiles, with that."""
    return {source: arch for source in sorted(sources)
            if (arch := build.only_for(source)) not in (None, USUAL)}


class Step(compilers.Partial):
    """The commit that is checked out, with everything on but perhaps one option.

    In place of an option there may be another architecture, for the files that are for it only.
    """

    log_name = '{kernel.dir.name}-{kernel.base.name}'

    def __init__(self, base, tree, option=None):
        arch = option if option in build.ARCH else ELSEWHERE.get(option, USUAL)
        super().__init__(base, arch, source=tree)
        self.option = option
        self.name = f'{base.name} {name_of([option])}'
        self.dir = tree / ('bisect-' + name_of([option]).split(' on ')[0].replace(' ', '-'))

    def fragment(self):
        text = super().fragment()
        for option in (self.option, *WITHOUT[self.option]) if self.option in WITHOUT else ():
            text = re.sub(rf'^CONFIG_{option}=.*\n', '', text, flags=re.M) \
                + f'# CONFIG_{option} is not set\n'
        return text

    def make(self, *arguments):
        # What a compiler says stays together with what it compiles.
        return super().make('--output-sync=target', *arguments)

    def configure_for(self, kconfig):
        """Configure, unless the kernel has the options that it had the last time."""
        stamp = self.dir / 'configured'
        configured = repr(kconfig) + self.fragment()
        if not stamp.exists() or stamp.read_text() != configured:
            # Once it was prepared, compiling does the rest.
            target = 'syncconfig' if stamp.exists() else 'prepare'
            stamp.unlink(missing_ok=True)
            self.prepare(target)
            stamp.write_text(configured)

    def warnings(self, kconfig, sources):
        """What the compiler says of each of the sources that this configuration compiles."""
        self.configure_for(kconfig)
        objects = self.enabled(sources)
        for name in objects:
            (self.dir / name).unlink(missing_ok=True)
        said = by_object(self.compile(objects), objects) if objects else {}
        for name in objects:
            if not (self.dir / name).exists() and not compilers.normalise(said[name]):
                raise Failure(f'{self.name}: {name} was not compiled, and nothing says why; see '
                              f'{self.log}')
        return {os.path.normpath(name[:-2] + '.c'): text for name, text in said.items()}

    def depends(self, source):
        """The options that an object depends on, as kbuild has found."""
        path = self.dir / source
        try:
            text = path.with_name(f'.{path.stem}.o.cmd').read_text()
        except FileNotFoundError:
            return list(WITHOUT)
        return [option for option in WITHOUT if f'include/config/{option})' in text]


class Walk:
    """Compile what is not known yet."""

    def __init__(self, series):
        self.series = series
        self.tree = CACHE / 'bisect' / series.repo.name
        self.compilers = ''.join(sorted(map(build.compiler_version, (USUAL, 'i386'))))
        self.compiled = 0
        self.at = self.shown = None
        self.steps, self.fragments = {}, {}

    def check_out(self, commit):
        if self.at != commit.name:
            assemble.check_out(self.series.repo, self.tree, commit.name)
            self.at = commit.name

    def step(self, option):
        if option not in self.steps:
            if not self.tree.exists():
                self.check_out(self.series.start)
            step = self.steps[option] = Step(self.series.base, self.tree, option)
            self.fragments[step.name] = step.fragment()
        return self.steps[option]

    def cached(self, commit, option, source):
        """Where the result for a file is kept: for the same content it is the same."""
        inner = str(Path(source).parent)
        # Tests may be included by what they test.
        own = commit.part(lambda name: name == source or name.endswith('.c')
                          and str(Path(name).parent.parent) == inner)
        step = self.step(option)
        compiler = build.compiler_version(option) if option in build.ARCH else self.compilers
        return CACHE / 'bisect' / f'objects-{history.digest(sorted(WITHOUT))[:8]}' / history.digest(
            self.series.start.tree, source, own, commit.part(is_shared), self.fragments[step.name],
            compiler, build.REPRODUCIBLE)

    def results(self, commit, option, sources):
        """What is known of each file at a commit in a configuration, and make it known."""
        paths = {source: self.cached(commit, option, source) for source in sources}
        unknown = sorted(source for source, path in paths.items() if not path.exists())
        if unknown:
            self.show(commit, unknown)
            self.compile(commit, option, unknown, paths)
        return {source: json.loads(path.read_text()) for source, path in paths.items()}

    def compile(self, commit, option, sources, paths):
        self.check_out(commit)
        step = self.step(option)
        there = [source for source in sources if (self.tree / source).exists()]
        said = step.warnings(commit.part(lambda name: Path(name).name.startswith('Kconfig')), there)
        lost = [source for source in there if source not in said and source in self.series.sources]
        if lost and option in build.ARCH:
            raise Failure(f'{step.name}: {lost[0]} is not compiled: turn on what it depends on in '
                          f'machines/kconfig/{option}.config')
        off = option not in WITHOUT or not step.has(option)
        for source in sources:
            found = {'off': off, 'said': sorted(compilers.normalise(said.get(source, '')))}
            if not option:
                found['depends'] = step.depends(source) if source in said else list(WITHOUT)
            keep(paths[source], json.dumps(found))
        self.compiled += len(said)

    def show(self, commit, unknown):
        if self.shown != commit.name:
            self.shown = commit.name
            say(f'  {self.series.base.name}: compile commit {self.series.number(commit)} of '
                f'{len(self.series.commits)}, "{commit.subject}": {len(unknown)} file'
                + 's' * (len(unknown) > 1))

    def with_everything(self, commit, sources):
        """What is known of the files with everything on, and which ones each option matters to."""
        known = self.results(commit, None, sources)
        return known, {option: {source for source in known if option in known[source]['depends']}
                       for option in WITHOUT}

    def ahead(self, commits):
        """Compile what is the same in several commits at the last of them: a check-out for all."""
        for _, group in itertools.groupby(commits, lambda commit: commit.part(is_shared)):
            group = list(group)
            last = group[-1]
            same, telling = set(), set()
            for commit in group[:-1]:
                affected, some = self.series.affected(commit)
                lasting = {source for source in affected if self.cached(commit, None, source)
                           == self.cached(last, None, source)} - set(by_arch(affected))
                same |= lasting
                telling |= lasting & some
            _, matters = self.with_everything(last, same)
            for option in WITHOUT:
                self.results(last, option, telling & matters[option])

    def commit(self, commit):
        """The new warnings of a commit with the configurations they come in; what was off."""
        affected, telling = self.series.affected(commit)
        abroad = by_arch(affected)
        known, matters = self.with_everything(commit, affected - set(abroad))
        after = {None: known}
        for arch in sorted(set(abroad.values())):
            after[arch] = self.results(commit, arch, {source for source, where in abroad.items()
                                                      if where == arch})
        for option in WITHOUT:
            # Compiled anew only if the option has a say in it.
            after[option] = self.results(commit, option, telling & matters[option])
        found, forced = {}, set()
        for option, results in after.items():
            if not all(result['off'] for result in results.values()):
                forced.add(option)
            # Without a warning now, those of the commit before do not matter.
            before = self.results(self.series.before(commit), option,
                                  {source for source, result in results.items() if result['said']})
            old = {line for result in before.values() for line in result['said']}
            for result in results.values():
                for line in set(result['said']) - old:
                    if option not in found.setdefault(line, []):
                        found[line].append(option)
        return found, forced


def compile_commits(base, last=None):
    """What is wrong with the commits, or the last ones, and in how many configurations."""
    series = history.Series(base)
    walk = Walk(series)
    problems, forced = [], set()
    commits = series.commits[-last if last else 0:]
    walk.ahead(commits)
    for commit in commits:
        found, stuck = walk.commit(commit)
        forced |= stuck
        problems += [f'{base.name}: "{commit.subject}" {name_of(options)}: {problem}'
                     for problem, options in sorted(found.items())]
    problems += [f'{base.name}: {option} cannot be turned off: what selects it?'
                 for option in sorted(forced)]
    say(f'  {base.name}: {len(commits)} commits compiled with everything and without '
        f'{", ".join(WITHOUT)}; {walk.compiled} objects were new')
    return problems, 1 + len(WITHOUT)


def check(base, last=None):
    """Every commit of the series, or the last ones, has no warning that it brings."""
    return compile_commits(base, last)[0]


def result(base):
    """One sentence on what every commit does, for the record."""
    problems, configurations = compile_commits(base)
    problems += passes.check(base)
    if problems:
        raise Failure('\n'.join(problems))
    series = history.Series(base)
    chosen = passes.chosen_machines()
    return (f'{len(series.commits)} commits compile without a new warning in {configurations} '
            f'configurations, and the {len(passes.Walk(series).tested())} that have tests pass '
            f'them on {len(chosen)} machines')


def needed():
    """The packages that have the compilers for this."""
    touched = [name for base in map(Base, base_names()) for name in assemble.touched_files(base)]
    names = [build.ARCH[arch]['cross'] + 'gcc'
             for arch in {*ELSEWHERE.values(), *by_arch(touched).values()}]
    return {name: packages.CROSS[name] for name in names if name in packages.CROSS}


def command(name, last=None):
    packages.ensure(packages.BUILD, needed())
    with cache_lock():
        problems = check(Base(name), history.position(last))
    return show_problems(problems)


if __name__ == '__main__':
    main(command, *sys.argv[1:])
