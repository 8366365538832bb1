# SPDX-License-Identifier: GPL-2.0
"""Compile the files of the series for the architectures that "make check" does not."""

import re
import sys

from harness import assemble, build, compilers, packages
from harness.project import Base, Failure, cache_lock, main, output_of, say, show_problems

# 32 bits with more physical addresses than pointers, both byte orders, devices that
# are not coherent, and each architecture with DMA operations of its own: all but
# those for which "make check" compiles.
ARCH = [arch for arch in build.ARCH if arch not in compilers.ARCH]

# What gcc calls for a division of 64 bits on 32, and a kernel does not have.
DIVISION = re.compile(r'^ +U (__(?:u?divmod|u?div|u?mod)di[34]|__aeabi_u?ldivmod)$', re.M)


class Elsewhere(compilers.Partial):
    """A kernel for an architecture that has part of what the series needs."""

    def divisions(self, objects):
        """What would be found missing when the kernel is linked."""
        nm = build.ARCH[self.arch]['cross'] + 'nm'
        return ''.join(f'{name}: error: {symbol} is not in a kernel\n' for name in objects
                       for symbol in DIVISION.findall(output_of([nm, str(self.dir / name)])))


def compiled(base, arch, with_series, sources):
    """The objects that there are, those that fail, and what the compiler says of them."""
    kernel = Elsewhere(base, arch, with_series)
    kernel.prepare()
    objects = kernel.enabled(sources)
    for name in objects:
        (kernel.dir / name).unlink(missing_ok=True)
    if not objects:
        raise Failure(f'{kernel.name} compiles none of the files that the series touches')
    text = kernel.compile(objects)
    made = [name for name in objects if (kernel.dir / name).exists()]
    return made, [name for name in objects if name not in made], \
        text + '\n' + kernel.divisions(made)


def check(base, tree, arches=ARCH):
    """No architecture has a warning or error that it does not have without the series."""
    problems, counts = [], {}
    sources = compilers.touched_sources(tree)
    ours = set(base.new_files())
    for arch in arches:
        objects, lost, after = compiled(base, arch, True, sources)
        _, lost_before, before = compiled(base, arch, False,
                                          [name for name in sources if name not in ours])
        counts[arch] = len(objects)
        say(f'  {base.name}: {len(objects)} of {len(sources)} files compiled for {arch}'
            + f'; not even without the series: {", ".join(lost_before)}' * bool(lost_before))
        problems += [f'{base.name} {arch}: {name} is not compiled' for name in lost
                     if name not in lost_before]
        problems += compilers.new_warnings(f'{base.name} {arch}', before, after)
    return problems, counts


def result(base):
    """One sentence for the record."""
    problems, counts = check(base, assemble.patched(base))
    if problems:
        raise Failure('\n'.join(problems))
    return 'no new warning, of files compiled: ' + ', '.join(
        f'{count} for {arch}' for arch, count in counts.items())


def command(name, *arches):
    unknown = [arch for arch in arches if arch not in ARCH]
    if unknown:
        raise Failure(f'unknown architecture {unknown[0]}: choose one of {", ".join(ARCH)}')
    packages.ensure(packages.BUILD, packages.CROSS)
    with cache_lock():
        base = Base(name)
        problems, _ = check(base, assemble.patched(base), arches or ARCH)
    return show_problems(problems)


if __name__ == '__main__':
    main(command, *sys.argv[1:])
