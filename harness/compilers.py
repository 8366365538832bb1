# SPDX-License-Identifier: GPL-2.0
"""Compile the files that a series touches, and compare what compilers say of them."""

import os
import re
from pathlib import Path

from harness import assemble, build, packages, report
from harness.project import ROOT, Failure, output_of, run, say

LISTING = ROOT / 'harness' / 'objects.mk'
ARCH = ('x86_64', 'arm64')

# Directories whose Makefile is part of that of another one, and how that names them.
TAKEN_IN = {'drivers/gpu/drm/amd/amdkfd': 'drivers/gpu/drm/amd/amdgpu/../amdkfd'}


def changed_files(tree):
    return assemble.git(tree, 'diff', '--name-only', '--diff-filter=d', 'base',
                        'HEAD').splitlines()


def touched_sources(tree):
    """The C files of the kernel that the series touches."""
    return [name for name in changed_files(tree)
            if name.endswith('.c') and not name.startswith('tools/')]


def is_compiled(base, name, arch):
    """Whether a file is neither another architecture's nor a suite that this one does not have."""
    return (not build.only_for(name) or build.directory(arch) == name.split('/')[1]) \
        and report.Expectation.is_built(base, name, arch)


def object_of(name):
    """What to ask make for to have a C file compiled."""
    parent, _, stem = name.removesuffix('.c').rpartition('/')
    return f'{TAKEN_IN.get(parent, parent)}/{stem}.o'


def is_included(tree, name):
    """Whether a C file is part of another one, one directory up, and not compiled itself."""
    path = tree / name
    line = f'#include "{path.parent.name}/{path.name}"'
    return any(line in other.read_text(errors='replace')
               for other in path.parent.parent.glob('*.c'))


def normalise(text):
    """Warnings without what moves when lines are added above them."""
    found = set()
    for line in text.splitlines():
        if re.search(r'\b(?:warning|error|Warning|Error):', line):
            found.add(re.sub(r':\d+', '', line).removeprefix('../').strip())
    return found


def new_warnings(what, before, after):
    return [f'{what}: {line}' for line in sorted(normalise(after) - normalise(before))]


class Checked(build.Kernel):
    """A configured tree in which only the files of the series are compiled."""

    log_name = 'check-{kernel.base.name}-{kernel.flavour}-{kernel.arch}-{kernel.compiler}'

    def __init__(self, base, arch, with_series=True, compiler='gcc', source=None):
        super().__init__(base, arch, with_series, source=source)
        self.compiler = compiler
        self.dir = self.source / f'check-{arch}-{compiler}'
        self.name += f' {compiler}'

    def fragment(self):
        """Whatever the series touches is compiled in both kernels, its tests in one."""
        text = super().fragment()
        if not self.with_series:
            text += re.sub(r'^CONFIG_\w+_KUNIT_TEST=.*\n', '', self.tests_fragment(), flags=re.M)
        # What the drivers need that the series touch.
        return text + (build.KCONFIG / 'check.config').read_text()

    def make(self, *arguments):
        command = super().make(*arguments)
        if self.compiler != 'gcc':
            command = [word.replace('gcc', self.compiler) if word.startswith('CC=') else word
                       for word in command]
        return command

    def compile(self, objects):
        """What the compiler and sparse say of the objects."""
        self.configure()
        flags = ['W=1', 'C=1', 'CHECK=sparse'] if self.compiler == 'gcc' else ['W=1']
        run(self.make('prepare', 'modules_prepare'), self.log, f'prepare {self.name}', quiet=True,
            env=self.environment())
        for name in objects:
            (self.dir / name).unlink(missing_ok=True)
        run(self.make(*flags, '--keep-going', *objects), self.log, f'compile {self.name}',
            quiet=True, env=self.environment())
        text = self.log.read_text(errors='replace')
        if self.with_series:
            # Once more as a module for what is not in the kernel image.
            log = self.log.with_suffix('.module.log')
            module = self.source / build.SELFTESTS / 'test_modules'
            run(self.make(*flags, 'KBUILD_MODPOST_WARN=1', f'M={module}', 'modules'), log,
                f'test module for {self.name}', quiet=True, env=self.environment())
            # The rest of the kernel is not there to resolve its symbols.
            text += re.sub(r'^.*(?:undefined!|Module.symvers).*$', '',
                           log.read_text(errors='replace'), flags=re.M)
        return text


class Partial(Checked):
    """A kernel that may lack some of the options, and of the files that depend on them."""

    def check_configuration(self):
        """Whatever there is of it will do."""

    def prepare(self, target='prepare'):
        self.configure()
        run(self.make(target), self.log.with_suffix('.prepare.log'), f'prepare {self.name}',
            quiet=True, env=self.environment())

    def has(self, option):
        return re.search(rf'^CONFIG_{option}=', (self.dir / '.config').read_text(), re.M)

    def enabled(self, sources):
        """The objects of those C files that this configuration compiles."""
        directories = {parent for name in sources for parent in Path(name).parents
                       if parent.name and any((self.source / parent / kbuild).exists()
                                              for kbuild in ('Kbuild', 'Makefile'))}
        listed = set()
        for directory in sorted(directories):
            text = output_of(['make', '--silent', '--no-print-directory', '--file', str(LISTING),
                              '--directory', str(self.dir), f'srctree={self.source}',
                              f'obj={directory}', 'nothing'], env=self.environment())
            listed |= {os.path.normpath(line) for line in text.split()}
        return sorted(name for name in map(object_of, sources)
                      if os.path.normpath(name) in listed)

    def compile(self, objects):
        """What the compiler says of the objects, also if that is an error."""
        try:
            run(self.make('W=1', '--keep-going', *objects), self.log, f'compile {self.name}',
                quiet=True, env=self.environment())
        except Failure:
            # What is not about our files is for whoever runs this.
            if not re.search(r'^\S+:\d+:.*\berror:', self.log.read_text(errors='replace'), re.M):
                raise
        return self.log.read_text(errors='replace')


def check(base, tree):
    """No compiler has anything to say of the series that it does not say of the base."""
    problems = []
    for arch, compiler in [(arch, 'gcc') for arch in ARCH] + [('x86_64', packages.CLANG)]:
        after_kernel = Checked(base, arch, True, compiler)
        ours = set(base.new_files())
        sources = [name for name in touched_sources(tree)
                   if is_compiled(base, name, arch)
                   and not is_included(tree, name)]
        known = [name for name in sources if name not in ours]
        after = after_kernel.compile([object_of(name) for name in sources])
        before = Checked(base, arch, False, compiler).compile([object_of(name) for name in known])
        say(f'  {base.name}: {len(sources)} files compiled with {compiler} for {arch}')
        problems += new_warnings(f'{compiler} {arch}', before, after)
    return problems
