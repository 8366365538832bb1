# SPDX-License-Identifier: GPL-2.0
"""The commands of the Makefile: run and test here, the others in their modules."""

import os
import sys
import time
import unittest

from harness import assemble, boot, build, check, packages, report
from harness.project import (CACHE, Base, Failure, Machine, bases, cache_lock, machine_names,
                             machines, main, say)


# Base, machine, suite and its counts.
LINE = '{:5} {:16} {:16} {} passed, {} failed, {} skipped'


def by_arch(chosen):
    """Machines grouped by architecture, so that each kernel is built once."""
    groups = {}
    for machine in chosen:
        groups.setdefault(machine.arch, []).append(machine)
    return groups


def boot_and_read(kernel, machine, expectation, pattern=None):
    log = CACHE / 'log' / f'boot-{kernel.base.name}-{kernel.flavour}-{machine.name}.log'
    append = f'kunit.filter_glob={pattern}' if pattern else ''
    if not expectation.suites:
        append = 'kunit.enable=0'
    done = boot.boot(machine, kernel.image, kernel.initramfs, append, log)
    return report.Report(done, kernel.source, expectation)


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


def test_base(base, chosen, pattern):
    """Every suite on every machine for one base, one line each."""
    total = [0, 0, 0]
    reports = []
    for arch, group in by_arch(chosen).items():
        kernel = build.Kernel(base, arch).build()
        for machine in group:
            found = boot_and_read(kernel, machine, report.Expectation(base, pattern), pattern)
            reports.append(found)
            for suite in found.suites():
                counts = found.count(suite)
                total = [a + b for a, b in zip(total, counts)]
                say(LINE.format(base.name, machine.name, suite, *counts))
            total[1] += len(found.problems)
            for line in found.failures():
                say('    ' + line)
    if [machine.name for machine in chosen] == machine_names():
        unproven = report.skipped_everywhere(reports)
        total[1] += len(unproven)
        for name in unproven:
            say(f'    {name} was skipped on every machine')
    return total


def test():
    pattern = os.environ.get('SUITE')
    chosen_bases, chosen = bases(), machines()
    for base in chosen_bases:
        report.Expectation(base, pattern)
    packages.ensure(packages.HARNESS)
    with cache_lock():
        (CACHE / 'log').mkdir(parents=True, exist_ok=True)
        totals = [] if pattern else [test_harness()]
        packages.for_arch(*by_arch(chosen))
        for base in chosen_bases:
            totals.append(test_base(base, chosen, pattern))
    passed, failed, skipped = (sum(column) for column in zip(*totals))
    say(f'{passed} passed, {failed} failed, {skipped} skipped')
    return failed > 0 or passed == 0


# make run

def outcome_rows(stock, series):
    """Pair what the two kernels did with the same mapping."""
    rows = {}
    for column, found in enumerate((stock, series)):
        for outcome in found.outcomes:
            key = outcome['mapping'], outcome['memory'], outcome['attribute']
            rows.setdefault(key, ['(did not run)'] * 2)[column] = outcome['result']
    return rows


def print_outcomes(machine, names, rows):
    say(f'\n{machine.name}: {machine.purpose}')
    for (mapping, memory, attribute), results in rows.items():
        say(f'  {mapping}, {memory}, attribute: {attribute}')
        for name, result in zip(names, results):
            say(f'    {name:32} {result}')


def run():
    start = time.monotonic()
    base = Base(os.environ.get('BASE') or '6.18')
    wanted = machines() if os.environ.get('MACHINE') else \
        [machine for machine in map(Machine, machine_names()) if machine.run]
    packages.ensure(packages.HARNESS)
    tables, failures = [], []
    with cache_lock():
        packages.for_arch(*by_arch(wanted))
        for arch, group in by_arch(wanted).items():
            stock = build.Kernel(base, arch, with_series=False).build()
            series = build.Kernel(base, arch).build()
            names = [f'Linux {assemble.tree_version(stock.source)}', 'the same with the series']
            for machine in group:
                expectation = report.Expectation(base, 'dma_coherent')
                before = boot_and_read(stock, machine, expectation)
                after = boot_and_read(series, machine, expectation)
                tables.append((machine, names, outcome_rows(before, after)))
                failures += after.failures() + before.problems
                failures += not_shown(machine, tables[-1][2])
    for table in tables:
        print_outcomes(*table)
    say('')
    if failures:
        for line in failures:
            say(line)
        raise Failure('the table above cannot be relied on')
    say(conclusion(tables))
    say(f'({time.monotonic() - start:.0f} s)')
    return 0


def not_shown(machine, rows):
    """What keeps the table from proving its point."""
    problems = [] if rows else [f'{machine.name}: no mapping was tried']
    for key, results in rows.items():
        allowed = ('mapped, coherent', 'refused') if key[2] != 'none' else ('mapped',)
        if '(did not run)' in results or not results[1].startswith(allowed):
            problems.append(f'{machine.name}: {", ".join(key)}: ' + ' / '.join(results))
    return problems


def conclusion(tables):
    """What the reader just saw, counted from the tables."""
    stale = refused = coherent = 0
    for _, _, rows in tables:
        for (_, _, attribute), (before, after) in rows.items():
            if attribute != 'none':
                stale += 'stale' in before
                refused += 'refused' in after
                coherent += 'coherent' in after
    return (f'Of the {stale + coherent} mappings that asked for coherent memory, the stock kernel '
            f'silently gave {stale} of them stale data; the series refused {refused} with an error '
            f'and mapped {coherent} coherently.')


COMMANDS = {
    'run': run, 'test': test, 'check': check.command,
    'tree': lambda: assemble.command('tree'), 'refresh': lambda: assemble.command('refresh'),
    'series': lambda: assemble.command('series'),
}

if __name__ == '__main__':
    if sys.argv[1:2] == [] or sys.argv[1] not in COMMANDS:
        sys.exit(f'usage: python3 -m harness {"|".join(COMMANDS)}')
    main(COMMANDS[sys.argv[1]])
