# SPDX-License-Identifier: GPL-2.0
"""The commands of the Makefile: run and test here, the others in their modules."""

import os
import sys
import time
import unittest

from harness import (assemble, bench, boot, build, check, mails, outcomes, packages, prove, report,
                     sanitizers, shell, xen)
from harness.project import (CACHE, Base, Failure, asked, base_names, cache_lock,
                             default_machine_names, machines, main, say)

# Base, machine, suite and its counts.
LINE = '{:5} {:16} {:16} {} passed, {} failed, {} skipped'


def by_arch(chosen):
    """Machines grouped by architecture, so that each kernel is built once."""
    groups = {}
    for machine in chosen:
        groups.setdefault(machine.arch, []).append(machine)
    return groups


def prepare(chosen):
    """Find out now, and not after building a kernel, what cannot be had."""
    for machine in chosen:
        if machine.hypervisor:
            xen.image(machine.hypervisor)


def boot_and_read(kernel, machine, expectation):
    log = CACHE / 'log' / f'boot-{kernel.base.name}-{kernel.flavour}-{machine.name}.log'
    append = kernel.append
    if expectation.pattern:
        append += f' kunit.filter_glob={expectation.pattern}'
    if not expectation.suites:
        append += ' kunit.enable=0'
    append += ' -- ' + expectation.arguments()
    done = boot.boot(machine, kernel.image, kernel.pack_tests(), append, log, kernel.timeout)
    found = report.Report(done, kernel.source, expectation)
    text = '\n'.join(done.lines())
    found.problems += [f'the log does not say "{sign}"' for sign in kernel.signs
                       if sign not in text]
    if kernel.with_series:
        # Machines are described for all programs, of which a base may lack some.
        telling = {name for base in map(Base, base_names())
                   for name in report.Expectation(base).telling}
        found.problems += outcomes.wrong(machine, found.outcomes,
                                         telling <= set(expectation.programs))
    return found


def boot_all(boots):
    """Reports in the order of the boots, of which some run at a time: devices are slow."""
    # Once, before several threads want these.
    boot.accelerator(boots[0][1], boots[0][0].image)
    for kernel in {kernel for kernel, _, _ in boots}:
        kernel.pack_tests()
    yield from boot.some_at_a_time(lambda arguments: boot_and_read(*arguments), boots)


# make test

def test_harness():
    """The harness's own tests; the kernel tests do not depend on them."""
    suite = unittest.defaultTestLoader.discover('harness/tests', top_level_dir='.')
    with open(CACHE / 'log' / 'harness.log', 'w') as log:
        result = unittest.TextTestRunner(stream=log, verbosity=2).run(suite)
    broken = result.failures + result.errors
    passed = result.testsRun - len(broken) - len(result.skipped)
    say(LINE.format('', '', 'harness', passed, len(broken), len(result.skipped)))
    for case, trace in broken:
        say(f'{case}:\n' + '\n'.join('    ' + line for line in trace.splitlines()[-8:]))
    for case, reason in result.skipped:
        say(f'    skipped {case}: {reason}')
    return passed, len(broken), len(result.skipped)


def test_base(base, chosen, pattern, kind=None):
    """Every suite on every machine for one base, one line each."""
    total = [0, 0, 0]
    reports = []
    for arch, group in by_arch(chosen).items():
        kernel = (sanitizers.Kernel(base, arch, kind) if kind else build.Kernel(base, arch)).build()
        for machine, found in zip(group, boot_all([
                (kernel, machine, report.Expectation(base, pattern, arch)) for machine in group])):
            reports.append(found)
            for suite in found.suites():
                counts = found.count(suite)
                total = [a + b for a, b in zip(total, counts)]
                say(LINE.format(base.name, machine.name, suite, *counts))
            total[1] += len(found.problems)
            for line in found.failures():
                say('    ' + line)
    if not pattern and {machine.name for machine in chosen} >= set(default_machine_names()):
        unproven = report.skipped_everywhere(reports)
        total[1] += len(unproven)
        for name in unproven:
            say(f'    {name} was skipped on every machine')
    if kind:
        found = sum(len(report.splats) for report in reports)
        say(sanitizers.sentence(base, kind, [machine.name for machine in chosen], total, found))
    return total


def test():
    pattern = os.environ.get('SUITE')
    kinds = sanitizers.asked()
    chosen = machines()
    for base in asked('BASE', base_names(), Base):
        report.Expectation(base, pattern)
    packages.for_arch(*by_arch(chosen))
    if not pattern:
        # What the harness's own tests try out.
        packages.ensure(packages.CHECK, packages.DISTRIBUTIONS)
    with cache_lock():
        chosen_bases = assemble.chosen_bases()
        prepare(chosen)
        (CACHE / 'log').mkdir(parents=True, exist_ok=True)
        totals = [] if pattern else [test_harness()]
        for base in chosen_bases:
            totals += [test_base(base, chosen, pattern, kind) for kind in kinds]
    passed, failed, skipped = (sum(column) for column in zip(*totals))
    say(f'{passed} passed, {failed} failed, {skipped} skipped')
    return failed > 0 or passed == 0


# make run

def one_base(command):
    given = assemble.chosen_bases() if os.environ.get('KERNEL') or os.environ.get('BASE') \
        else [Base(base_names()[0])]
    if len(given) != 1:
        raise Failure(f'make {command} takes one base: give one BASE=')
    return given[0]


def run():
    start = time.monotonic()
    base = one_base('run')
    wanted = machines()
    packages.for_arch(*by_arch(wanted))
    tables, failures = [], []
    with cache_lock():
        prepare(wanted)
        for arch, group in by_arch(wanted).items():
            series = build.Kernel(base, arch).build()
            stock = build.Kernel(base, arch, with_series=False).build()
            names = [f'Linux {assemble.tree_version(stock.source)}', 'the same with the series']
            reports = boot_all([(kernel, machine, report.Expectation(base).only_telling())
                                for machine in group for kernel in (stock, series)])
            for machine in group:
                before, after = next(reports), next(reports)
                tables.append(outcomes.rows(before.outcomes, after.outcomes))
                outcomes.show(machine, names, tables[-1])
                failures += after.failures() + outcomes.unproven(machine, tables[-1])
                # What the stock kernel prints about mappings it should not make is its own.
                failures += [line for line in before.problems if line not in before.splats]
    say('')
    if failures:
        for line in failures:
            say(line)
        raise Failure('the table above cannot be relied on')
    say(outcomes.conclusion(tables))
    say(f'({time.monotonic() - start:.0f} s)')
    return 0


# make shell

def start_shell():
    chosen = machines()
    if len(chosen) != 1:
        raise Failure('make shell boots one machine: give one MACHINE=')
    base = one_base('shell')
    packages.for_arch(chosen[0].arch)
    with cache_lock():
        prepare(chosen)
        kernel = build.Kernel(base, chosen[0].arch).build()
        archive = shell.pack(kernel)
    shell.start(chosen[0], kernel, archive)


COMMANDS = {
    'run': run, 'test': test, 'prove': prove.command, 'shell': start_shell,
    'check': check.command,
    'tree': lambda: assemble.command('tree'), 'refresh': lambda: assemble.command('refresh'),
    'series': mails.command, 'bench': bench.command,
}

if __name__ == '__main__':
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
        sys.exit(f'usage: python3 -m harness {"|".join(COMMANDS)}')
    main(COMMANDS[sys.argv[1]])
