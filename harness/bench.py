# SPDX-License-Identifier: GPL-2.0
"""make bench: what the series costs, against the stock base where that can do the same."""

import copy
import hashlib
import os
import re
import sys
import time

from harness import assemble, boot, build, cost, packages, ranges, readme, report
from harness.project import (CACHE, ROOT, Base, Failure, Machine, asked, cache_lock, main,
                             output_of, relative, say)

SOURCE = ROOT / 'harness' / 'bench'

# What the DMA API does on a machine. On these nothing bounces, so the bound holds.
PATHS = {'x86_64-direct': 'direct', 'x86_64-iommu': 'iommu',
         'arm64-direct': 'direct', 'arm64-smmu': 'iommu'}

# How the first device that reaches the memory of another one gets there.
ROUTES = {'x86_64-direct': 'direct', 'x86_64-iommu': 'iommu', 'x86_64-switch': 'bus',
          'arm64-smmu': 'bus'}

MACHINES = list(dict.fromkeys([*PATHS, *ROUTES]))

# One instruction is one nanosecond of the guest's time, which does not follow the
# clock on the wall: the same kernel does the same thing, every time.
COUNTING = ['-smp', '1', '-icount', 'shift=0,sleep=off']

# The time stamp counter of x86_64 then counts instructions; this one has to be told.
ARM64_COUNTER = ',cntfrq=1000000000'

# Where the code is that a mapping may execute, or a header that changes it, on the
# architectures of MACHINES. Drivers and other users of the DMA API are not in the
# benchmark's kernels.
CODE = re.compile(r'(?:arch/(?:arm64|x86)|drivers/(?:dma-buf|iommu|pci|xen)|include(?!/kunit)|'
                  r'kernel/dma|lib)/(?!.*\btests/).*\.[chS]$')
CODE_SECTION = re.compile(r'\.(?:(?:noinstr|init|exit)\.)?text\b')


def merge(fragments):
    """Fragments as one, in which the last word on an option is the only one."""
    options = {}
    for fragment in fragments:
        for line in fragment.splitlines():
            option = re.match(r'(?:# )?(CONFIG_\w+)[= ]', line)
            if option:
                options[option[1]] = line
    return '\n'.join(options.values()) + '\n'


class BenchKernel(build.Kernel):
    """A kernel configured as distributions do, without what is there to find bugs."""

    log_name = 'bench-{kernel.base.name}-{kernel.flavour}-{kernel.arch}'

    def __init__(self, base, arch, with_series=True):
        super().__init__(base, arch, with_series)
        self.dir = self.source / f'build-{arch}-bench'
        self.name += ' for the benchmark'

    def fragment(self):
        return fragment(self.arch)

    def options(self):
        """What is configured; the series may add options, but must not set any."""
        return {line for line in (self.dir / '.config').read_text().splitlines()
                if line.startswith('CONFIG_')}

    def selftests(self):
        return []

    def test_modules(self):
        # What there is nothing to compare with in the stock kernel.
        series_only = f'CONFIG_DMA_BUF_BENCH={"m" if self.with_series else "n"}'
        return self.modules(SOURCE, self.dir / 'bench_module', 'bench module', series_only)

    def text_sizes(self):
        """Bytes of machine code in the kernel image and in each object of it."""
        return parse_sizes(output_of([build.ARCH[self.arch]['cross'] + 'size', '--format=sysv',
                                      'vmlinux', 'vmlinux.a'], cwd=self.dir))


def fragment(arch):
    return merge((build.KCONFIG / f'{name}.config').read_text()
                 for name in ('common', arch, 'bench', f'bench-{arch}'))


# The machine code

def parse_sizes(listing):
    """The code in the output of size --format=sysv, by file."""
    sizes, name = {}, None
    for line in listing.splitlines():
        start = re.match(r'(\S+)\s+(?:\(ex vmlinux\.a\))?:$', line)
        section = re.match(r'(\.\S+)\s+(\d+)\s+\d+$', line)
        if start:
            name = start[1]
            sizes[name] = 0
        elif section and CODE_SECTION.match(section[1]):
            sizes[name] += int(section[2])
    return sizes


def compare_sizes(arch, stock, series):
    """The kernel image, all objects, and each object that is not as big as it was.

    The image is padded to pages, so it grows by more than its objects, or by less.
    """
    image = cost.Text(arch, 'vmlinux', stock.pop('vmlinux'), series.pop('vmlinux'))
    total = cost.Text(arch, cost.ALL, sum(stock.values()), sum(series.values()))
    return [image, total] + [cost.Text(arch, name, stock.get(name, 0), series.get(name, 0))
                             for name in sorted(stock.keys() | series.keys())
                             if stock.get(name, 0) != series.get(name, 0)]


# The instructions

def counting(machine):
    """The machine with one processor, and with a counter that counts instructions."""
    changed = copy.copy(machine)
    changed.qemu = machine.qemu + COUNTING
    if machine.arch == 'arm64':
        cpu = changed.qemu.index('-cpu') + 1
        changed.qemu[cpu] += ARM64_COUNTER
    return changed


def count(kernel, machine):
    """Boot a kernel and let it count; the lines of its log."""
    where = f'{kernel.flavour} on {machine.name}'
    log = CACHE / 'log' / f'bench-boot-{kernel.base.name}-{kernel.flavour}-{machine.name}.log'
    start = time.monotonic()
    command = boot.qemu(counting(machine), 'tcg', kernel.image, kernel.pack_tests(), '')
    done = boot.Boot(log, boot.start(command, log, boot.TIMEOUT))
    wrong = [done.wrong] if done.wrong else []
    wrong += [line.strip() for line in done.lines() if report.is_splat(line)]
    if wrong:
        raise Failure(f'{where}: {wrong[0]}; see {relative(log)}')
    say(f'  count {where}: {time.monotonic() - start:.0f} s')
    return done.lines()


def count_machine(stock, series, machine):
    """Rows of a machine, and those of device memory, which the stock kernel cannot map."""
    rows, device_memory = [], []
    series_log = count(series, machine)
    if machine.name in PATHS:
        logs = {'stock': count(stock, machine), 'series': series_log}
        rows = cost.compare(machine.name, *(
            cost.parse(log, f'{flavour} on {machine.name}', PATHS[machine.name])
            for flavour, log in logs.items()))
    if machine.name in ROUTES:
        device_memory = ranges.parse(series_log, machine.name, ROUTES[machine.name])
    return rows, device_memory


def count_arch(base, arch, chosen):
    """Rows, sizes, and rows of device memory of one architecture."""
    stock = BenchKernel(base, arch, with_series=False).build()
    series = BenchKernel(base, arch).build()
    differing = stock.options() ^ series.options()
    if differing:
        raise Failure(f'{", ".join(sorted(differing)[:4])} differs between the kernels for the '
                      f'benchmark: add it to machines/kconfig/bench.config')
    rows, device_memory = [], []
    for machine in chosen:
        found = count_machine(stock, series, machine)
        rows += found[0]
        device_memory += found[1]
    return rows, compare_sizes(arch, stock.text_sizes(), series.text_sizes()), device_memory


# The result in the repository

def code_changes(patch):
    """What a patch does to the code that is measured, wherever in a file it does it."""
    changes = []
    for change in re.split(r'^diff --git a/', patch, flags=re.M)[1:]:
        if CODE.match(change.split()[0]):
            changes += [line for line in change.splitlines()
                        if not line.startswith(('@@ ', 'index '))]
    return '\n'.join(changes)


def digest(base):
    """Changes whenever the result may change, the compiler's part in it aside.

    Patches of tests, documents and drivers come and go, and so do commit messages and
    line numbers. None of that costs an instruction.
    """
    parts = list(filter(None, (code_changes((base.dir / patch).read_text())
                               for patch, _ in base.series())))
    parts += [(base.root / name).read_text() for name in base.new_files() if CODE.match(name)]
    parts += [path.read_text() for path in sorted(SOURCE.iterdir())]
    for machine in map(Machine, MACHINES):
        parts += [repr(machine.qemu), machine.append, fragment(machine.arch)]
    return hashlib.sha256('\0'.join([base.version, *parts]).encode()).hexdigest()[:16]


def stale(base):
    """What is wrong with the result in the repository."""
    result = cost.load(base)
    if not result or result['digest'] == digest(base):
        return []
    return [f'{relative(cost.path(base))} was measured on something else: run '
            f'"make bench BASE={base.name} RECORD=1"']


def tools(arches):
    return [build.compiler_version(arch).splitlines()[0] for arch in arches]


def chosen_machines():
    chosen = asked('MACHINE', MACHINES, Machine)
    for machine in chosen:
        if machine.name not in MACHINES:
            raise Failure(f'MACHINE={machine.name} is not for the benchmark: '
                          f'choose one of {", ".join(MACHINES)}')
    return chosen


def show(lines):
    say('\n'.join(['', *lines]))


def bench_base(base, chosen, record):
    rows, texts, device_memory = [], [], []
    arches = list(dict.fromkeys(machine.arch for machine in chosen))
    before = digest(base)
    for arch in arches:
        found = count_arch(base, arch, [machine for machine in chosen if machine.arch == arch])
        rows += found[0]
        texts += found[1]
        device_memory += found[2]
    verdicts = []
    if any(machine.name in PATHS for machine in chosen):
        show(cost.table(rows))
        verdicts.append(cost.verdict(rows))
    if any(machine.name in ROUTES for machine in chosen):
        show(cost.columns(ranges.table(device_memory)))
        verdicts.append(ranges.verdict(device_memory))
    show(cost.text_table(texts))
    show(f'Linux {base.name}: {sentence}' for sentence, _ in verdicts)
    if record:
        if digest(base) != before:
            raise Failure(f'{relative(base.dir)} or the benchmark changed meanwhile: run it again')
        cost.save(base, rows, texts, device_memory, before, tools(arches))
    return all(met for _, met in verdicts)


def command():
    record = os.environ.get('RECORD')
    if record and (os.environ.get('MACHINE') or os.environ.get('KERNEL')):
        raise Failure('RECORD= keeps the result of all machines and of the base itself: '
                      'not with MACHINE= or KERNEL=')
    chosen = chosen_machines()
    asked('BASE', ['6.18'], Base)
    packages.for_arch(*{machine.arch for machine in chosen})
    with cache_lock():
        met = [bench_base(base, chosen, record) for base in assemble.chosen_bases(['6.18'])]
    if record:
        readme.update()
    return not all(met)


if __name__ == '__main__':
    main(command, *sys.argv[1:])
