# SPDX-License-Identifier: GPL-2.0
"""The commands of the Makefile: run and test here, the others in their modules."""

import os
import sys
import time
import unittest

from harness import assemble, bench, boot, build, check, packages, report, xen
from harness.project import (CACHE, Base, Failure, Machine, asked, base_names, cache_lock,
                             machine_names, machines, main, say)


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
    append = f'kunit.filter_glob={expectation.pattern}' if expectation.pattern else ''
    if not expectation.suites:
        append = 'kunit.enable=0'
    timeout = boot.SANITIZED_TIMEOUT if kernel.sanitized else boot.TIMEOUT
    done = boot.boot(machine, kernel.image, kernel.initramfs, append, log, timeout)
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
        kernel = build.Kernel(base, arch, sanitized=bool(os.environ.get('SANITIZE'))).build()
        for machine in group:
            found = boot_and_read(kernel, machine, report.Expectation(base, pattern, arch))
            reports.append(found)
            for suite in found.suites():
                counts = found.count(suite)
                total = [a + b for a, b in zip(total, counts)]
                say(LINE.format(base.name, machine.name, suite, *counts))
            total[1] += len(found.problems)
            for line in found.failures():
                say('    ' + line)
    if not pattern and {machine.name for machine in chosen} == set(machine_names()):
        unproven = report.skipped_everywhere(reports)
        total[1] += len(unproven)
        for name in unproven:
            say(f'    {name} was skipped on every machine')
    return total


def test():
    pattern = os.environ.get('SUITE')
    chosen = machines()
    for base in asked('BASE', base_names(), Base):
        report.Expectation(base, pattern)
    packages.for_arch(*by_arch(chosen))
    with cache_lock():
        chosen_bases = assemble.chosen_bases()
        prepare(chosen)
        (CACHE / 'log').mkdir(parents=True, exist_ok=True)
        totals = [] if pattern else [test_harness()]
        for base in chosen_bases:
            totals.append(test_base(base, chosen, pattern))
    passed, failed, skipped = (sum(column) for column in zip(*totals))
    say(f'{passed} passed, {failed} failed, {skipped} skipped')
    return failed > 0 or passed == 0


# make run

ASKED = 'REQUIRE_COHERENT'


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


def not_shown(machine, stock, rows):
    """What keeps the table from proving its point.

    The stock kernel may do anything with the attribute, which it does not know or gets
    wrong, but a machine that never lets data go stale would prove nothing.
    """
    problems = [] if rows else [f'{machine.name}: no mapping was tried']
    for key, results in rows.items():
        allowed = ('mapped, coherent', 'refused') if key[2] == ASKED else ('mapped, ',)
        if not results[1].startswith(allowed) or '(did not run)' in results:
            problems.append(f'{machine.name}: {", ".join(key)}: ' + ' / '.join(results))
    if machine.bounces and not any('stale data' in before for before, _ in rows.values()):
        problems.append(f'{machine.name}: the stock kernel never bounced')
    return problems + stock.problems


def run_base():
    given = assemble.chosen_bases() if os.environ.get('KERNEL') or os.environ.get('BASE') \
        else [Base('6.18')]
    if len(given) != 1:
        raise Failure('make run compares one base with its series: give one BASE=')
    return given[0]


def run():
    start = time.monotonic()
    base = run_base()
    wanted = machines() if os.environ.get('MACHINE') else \
        [machine for machine in map(Machine, machine_names()) if machine.run]
    packages.for_arch(*by_arch(wanted))
    tables, failures = [], []
    with cache_lock():
        prepare(wanted)
        for arch, group in by_arch(wanted).items():
            series = build.Kernel(base, arch).build()
            stock = build.Kernel(base, arch, with_series=False).build()
            names = [f'Linux {assemble.tree_version(stock.source)}', 'the same with the series']
            for machine in group:
                expectation = report.Expectation(base, 'dma_coherent')
                before = boot_and_read(stock, machine, expectation)
                after = boot_and_read(series, machine, expectation)
                rows = outcome_rows(before, after)
                tables.append((machine, names, rows))
                failures += after.failures() + not_shown(machine, before, rows)
    for table in tables:
        print_outcomes(*table)
    say('')
    if failures:
        for line in failures:
            say(line)
        raise Failure('the table above cannot be relied on')
    say(conclusion([rows for _, _, rows in tables]))
    say(f'({time.monotonic() - start:.0f} s)')
    return 0


def conclusion(tables):
    """What the reader just saw, counted from the tables."""
    asked = [results for rows in tables for key, results in rows.items() if key[2] == ASKED]
    stale = sum('stale data' in before for before, _ in asked)
    refused = sum('refused' in after for _, after in asked)
    return (f'Of {len(asked)} mappings with {ASKED}, the stock kernel let {stale} go through and '
            f'gave them stale data without an error; the series refused {refused} and mapped '
            f'{len(asked) - refused} coherently.')


COMMANDS = {
    'run': run, 'test': test, 'check': check.command,
    'tree': lambda: assemble.command('tree'), 'refresh': lambda: assemble.command('refresh'),
    'series': lambda: assemble.command('series'), 'bench': bench.command,
}

if __name__ == '__main__':
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
        sys.exit(f'usage: python3 -m harness {"|".join(COMMANDS)}')
    main(COMMANDS[sys.argv[1]])
