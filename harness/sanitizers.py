# SPDX-License-Identifier: GPL-2.0
"""Kernels that look for what the tests do not: make test SANITIZE=memory or races."""

import os
import re
import sys
from pathlib import Path

from harness import assemble, boot, build, compilers, report
from harness.project import CACHE, ROOT, Base, Failure, Machine, cache_lock, main, say

# KASAN and KCSAN exclude each other, so that it takes two kernels. What each of them
# has stands in machines/kconfig/sanitizers-NAME.config; what is not on without asking,
# here. Poison shows what a device writes to memory that was freed, which KASAN does not
# see. With KASAN the objects of a slab wait in a quarantine after that, where nobody
# looks at their poison; what slab_debug=F does is to have no sheaves, in which a cache of 7.3
# leaves the addresses of those that it gave out last, for kmemleak to take for references.
KINDS = {
    'memory': 'kasan_multi_shot page_poison=1 iommu.debug_pagealloc=1 slab_debug=F',
    'races': 'page_poison=1 slab_debug=FZP',
}

# The shadow of KASAN takes nearly all memory of the first of two nodes that lies above 4 GiB,
# so that no process would get a page there: hence one node. Tests that need two run on arm64.
ONE_NODE = {('memory', 'x86_64'): ' numa=fake=1'}

# What they say when they start: one that does not run has nothing to report either.
SIGNS = {
    'memory': ('KernelAddressSanitizer initialized', 'Lock dependency validator',
               'kmemleak: Kernel memory leak detector initialized'),
    'races': ('kcsan: strict mode configured', 'kcsan: selftest: 3/3 tests passed',
              'Lock dependency validator'),
}

# How each option that finds something calls itself; the others go with these.
NAMES = {
    'KASAN': 'KASAN', 'KCSAN_STRICT': 'strict KCSAN', 'UBSAN': 'UBSAN', 'PROVE_LOCKING': 'lockdep',
    'DEBUG_ATOMIC_SLEEP': 'checks for sleeping in atomic context', 'DEBUG_KMEMLEAK': 'kmemleak',
    'PAGE_POISONING': 'page poisoning', 'SLUB_DEBUG': 'slab poisoning',
    'DEBUG_OBJECTS': 'DEBUG_OBJECTS', 'DEBUG_SG': 'DEBUG_SG', 'DMABUF_DEBUG': 'DMABUF_DEBUG',
    'DEBUG_VIRTUAL': 'DEBUG_VIRTUAL', 'PAGE_TABLE_CHECK': 'page table checks',
    'IOMMU_DEBUG_PAGEALLOC': 'checks of freed pages in an IOMMU',
}

TIMEOUT = 1500

# What reports all over a kernel, so that only the files that the series touches have it,
# and what the compiler is told for it.
PARTIAL = {'memory': ('UBSAN', '-fsanitize=shift'), 'races': ('KCSAN', '-fsanitize=thread')}

# Whose locks and queues order what others access. KCSAN has to see these barriers, or
# it takes an access to be possible after the lock was given back; the scheduler and
# the memory management say so in their makefiles.
BARRIERS = ('spinlock', 'spinlock_debug', 'mutex', 'rwsem', 'ww_mutex', 'rtmutex_api',
            'semaphore', 'percpu-rwsem', 'qspinlock', 'qrwlock', 'srcutree', 'tree', 'update',
            'workqueue', 'percpu-refcount', 'dma-fence', 'dma-resv', 'refcount', 'rcuref', 'kref',
            'exit', 'fork', 'softirq')


def asked():
    """The kinds that SANITIZE= selects; None alone, for an ordinary kernel, by default."""
    wanted = os.environ.get('SANITIZE', '').replace(',', ' ').split()
    if wanted == ['1']:
        return list(KINDS)
    for name in wanted:
        if name not in KINDS:
            raise Failure(f'unknown SANITIZE={name}: choose one of {", ".join(KINDS)}, '
                          f'or 1 for one after the other')
    return list(dict.fromkeys(wanted)) or [None]


def fragments(base, kind, arch=None):
    """The fragments of a kind; there are more for what only an architecture or base has."""
    return [path for path in (build.KCONFIG / f'sanitizers-{kind}.config',
                              build.KCONFIG / f'sanitizers-{kind}-{arch}.config',
                              base.dir / f'sanitizers-{kind}.config') if path.exists()]


def able(kind, chosen):
    """The machines that boot such a kernel."""
    found = [machine for machine in chosen if kind != 'memory' or not machine.hypervisor]
    for machine in chosen:
        if machine not in found:
            say(f'  {machine.name}: not with KASAN, as a PV domain starts without a shadow of its '
                f'memory')
    if not found:
        raise Failure(f'no machine is left for SANITIZE={kind}: choose another MACHINE, or '
                      f'SANITIZE=races')
    return found


def without_moves(lines):
    """The lines without what KCSAN says of a task that moves to another processor.

    On arm64 each tracepoint reads the number of the processor from the task, and the
    scheduler, which is not instrumented, may change it meanwhile: the value becomes the
    number of the processor that reports it. x86_64 has the number elsewhere, so that a
    race that only looks like this is reported there.
    """
    kept, block = [], None
    for line in lines:
        if block is None and 'BUG: KCSAN: data-race in' in line:
            block = []
        if block is None:
            kept.append(line)
            continue
        block.append(line)
        if '=' * 60 in line or len(block) > 80:
            kept += [] if is_move('\n'.join(block)) else block
            block = None
    return kept + (block or [])


def is_move(report_of_race):
    read = re.search(r'race at unknown origin, with read to \w+ of 4 bytes by .* on cpu (\d+):',
                     report_of_race)
    changed = re.search(r'value changed: 0x(\w+) -> 0x(\w+)', report_of_race)
    return read and changed and int(changed[2], 16) == int(read[1])


LEAK = 'harness: kmemleak: '
# kunit_attach_mm() gives an address space to the thread of a test with kthread_use_mm(),
# which takes a reference that nobody drops when the thread ends. What belongs to it lives as
# long: what lists its notifiers is freed with it, and is there once for each.
LEAKED_BY_KUNIT = re.compile(r' mm_alloc\+.* kunit_vm_mmap\w*\+| __mmu_notifier_register\+',
                             re.DOTALL)


def without_leaks_of_kunit(lines):
    """The lines without the address spaces that KUnit leaks, with the series or without."""
    kept, leaks = [], []
    for line in lines:
        if LEAK not in line:
            kept.append(line)
        elif 'unreferenced object' in line or not leaks:
            leaks.append([line])
        else:
            leaks[-1].append(line)
    found = [leak for leak in leaks if not LEAKED_BY_KUNIT.search('\n'.join(leak))]
    if leaks and not found:
        # Nor that there were some.
        kept = [line for line in kept if 'new suspected memory leaks' not in line]
    return kept + [line for leak in found for line in leak]


class Boot(boot.Boot):
    """A boot of a kernel whose log also has what the series has no part in."""

    def __init__(self, done, without):
        super().__init__(done.log, done.wrong)
        self.without = without

    def lines(self):
        return self.without(super().lines())


class Kernel(build.Kernel):
    """A kernel with the series and sanitizers."""

    timeout = TIMEOUT

    def __init__(self, base, arch, kind, with_series=True):
        super().__init__(base, arch, with_series)
        self.kind = kind
        # Whoever waits for a lock that an oops leaves behind does so until the time is up.
        self.append = f'oops=panic {KINDS[kind]}{ONE_NODE.get((kind, arch), "")}'
        self.signs = SIGNS[kind]
        self.flavour += f'-{kind}'
        self.dir = self.source / f'build-{arch}-{kind}'
        self.name += f' with sanitizers for {kind}'

    def heard(self, done):
        if self.kind == 'memory':
            return Boot(done, without_leaks_of_kunit)
        return Boot(done, without_moves) if self.arch == 'arm64' else done

    def wanted(self):
        return super().wanted() + ''.join(
            path.read_text() for path in fragments(self.base, self.kind, self.arch))

    def make(self, *arguments):
        return super().make(*self.instrumented(), *arguments)

    def touched(self):
        """The C files of the series, also those of its test modules."""
        return [name for name in compilers.changed_files(assemble.patched(self.base))
                if name.endswith('.c')]

    def instrumented(self):
        """Have UBSAN and KCSAN look at what the series touches, by the variables of kbuild."""
        # Exactly these; what a module is made of stands in a directory of its own.
        objects = ' '.join(f'{Path(name).stem if name.startswith("tools/") else name[:-2]}.o'
                           for name in self.touched())
        which, _ = PARTIAL[self.kind]
        words = [f'{which}_SANITIZE=$(if $(filter {objects},$@),y,n)']
        if which == 'KCSAN':
            words += [f'KCSAN_INSTRUMENT_BARRIERS_{stem}.o=y' for stem in BARRIERS]
        return words

    def build(self):
        super().build()
        self.check_instrumented(self.dir, self.touched())
        return self

    def test_modules(self):
        modules = super().test_modules()
        work = self.dir / 'test_modules' / 'modules'
        # Not what kbuild adds to each module.
        self.check_instrumented(work, [path.name for path in work.glob('*.c')
                                       if not path.name.endswith('.mod.c')])
        return modules

    def check_instrumented(self, directory, names):
        """What is compiled without a sanitizer has no reports either."""
        which, flag = PARTIAL[self.kind]
        found = 0
        for name in names:
            path = directory / name
            compiled = path.with_name(f'.{path.stem}.o.cmd')
            # The configuration may leave it out.
            if not compiled.exists():
                continue
            found += 1
            if flag not in compiled.read_text():
                raise Failure(f'{self.name}: {name} is compiled without {which}')
        if names and not found:
            raise Failure(f'{self.name}: nothing in {directory} says how {names[0]} is compiled')


def sanitizers(base, kind):
    """What a kernel of the kind has, in words."""
    text = ''.join(path.read_text() for path in fragments(base, kind))
    found = [words for option, words in NAMES.items()
             if re.search(rf'^CONFIG_{option}=y$', text, re.M)]
    return f'{", ".join(found[:-1])} and {found[-1]}'


def sentence(base, kind, machines, counts, reports):
    """What a run has shown, for the record."""
    passed, failed, skipped = counts
    number = f'{len(machines)} machines' if len(machines) > 1 else machines[0]
    found = {0: 'no report', 1: '1 report'}.get(reports, f'{reports} reports')
    return (f'Linux {base.version} with {sanitizers(base, kind)}, on {number}: '
            f'{passed} passed, {failed} failed, {skipped} skipped, {found}.')


# The control: whether what the sanitizers are there to find is reported

CONTROL = ROOT / 'harness' / 'control'

# What has to be said of each defect in control.c, while it is made or at the end.
DEFECTS = {
    'memory': {
        'out of bounds': 'BUG: KASAN: slab-out-of-bounds', 'shift': 'UBSAN: shift-out-of-bounds',
        'bounds': 'UBSAN: array-index-out-of-bounds',
        'freed page': 'pagealloc: ', 'active timer': 'ODEBUG: free active',
        'sleep': 'BUG: sleeping function called', 'locks': 'possible circular locking dependency',
        'leak': 'kmemleak: unreferenced object', 'lockdep': 'lockdep is turned off',
    },
    'races': {
        'race': 'BUG: KCSAN: data-race', 'freed object': r'BUG kmalloc-\S+ \(',
        'sleep': 'BUG: sleeping function called', 'locks': 'possible circular locking dependency',
        'lockdep': 'lockdep is turned off',
    },
}
AT_THE_END = ('leak', 'lockdep')


class Control(Kernel):
    """The same kernel, to boot with a module that does all this on purpose."""

    def selftests(self):
        return []

    def test_modules(self):
        return self.modules(CONTROL, self.dir / 'control_module', 'control module')


def unreported(kind, lines):
    """The defects that the scan of a log would not have found."""
    said, current = {}, None
    for line in lines:
        mark = re.search(r'control: (begin|end) (.+)', line)
        if mark:
            current = mark[2] if mark[1] == 'begin' else None
        elif report.is_splat(line):
            said.setdefault(current, []).append(line)
    return [name for name, pattern in DEFECTS[kind].items()
            if not re.search(pattern, '\n'.join(
                said.get(None if name in AT_THE_END else name, [])))]


def control(base, kind, machine):
    """Boot the control, and read its log as that of the tests is read."""
    kernel = Control(base, machine.arch, kind).build()
    log = CACHE / 'log' / f'control-{base.name}-{kind}-{machine.name}.log'
    done = kernel.heard(boot.boot(machine, kernel.image, kernel.pack('control'),
                                  f'{kernel.append} kunit.enable=0 -- none', log, kernel.timeout))
    if done.wrong:
        raise Failure(f'{machine.name}: {done.wrong}; the full log is {log}')
    missing = unreported(kind, done.lines())
    if missing:
        raise Failure(f'{machine.name}: {", ".join(missing)}: done on purpose and not reported; '
                      f'the full log is {log}')
    say(f'{machine.name}: all {len(DEFECTS[kind])} defects that were made on purpose are reported')


def control_all(base, kind, chosen):
    """On the first machine of each architecture: one that reports nothing proves nothing."""
    first = {}
    for machine in able(kind, chosen):
        first.setdefault(machine.arch, machine)
    for machine in first.values():
        control(base, kind, machine)


def command(name, kind, machine):
    if kind not in KINDS:
        raise Failure(f'unknown sanitizers {kind}: choose one of {", ".join(KINDS)}')
    base, chosen = Base(name), [Machine(machine)]
    with cache_lock():
        control_all(base, kind, chosen)


if __name__ == '__main__':
    main(command, *sys.argv[1:])
