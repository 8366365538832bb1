# SPDX-License-Identifier: GPL-2.0
"""The commands of the Makefile: run and test here, the others in their modules."""

import os
import sys
import time
import unittest

from harness import (assemble, bench, build, check, coverage, mails, mutate, outcomes, packages,
                     prove, report, sanitizers, shell, suites, verify)
from harness.project import (CACHE, Base, Failure, asked, base_names, cache_lock, machines, main,
                             say)

# make test

def test_harness():
    """The harness's own tests; the kernel tests do not depend on them."""
    suite = unittest.defaultTestLoader.discover('harness/tests', top_level_dir='.')
    with open(CACHE / 'log' / 'harness.log', 'w') as log:
        result = unittest.TextTestRunner(stream=log, verbosity=2).run(suite)
    broken = result.failures + result.errors
    passed = result.testsRun - len(broken) - len(result.skipped)
    say(suites.LINE.format('', '', 'harness', passed, len(broken), len(result.skipped)))
    for case, trace in broken:
        say(f'{case}:\n' + '\n'.join('    ' + line for line in trace.splitlines()[-8:]))
    for case, reason in result.skipped:
        say(f'    skipped {case}: {reason}')
    return passed, len(broken), len(result.skipped)


def test():
    pattern = os.environ.get('SUITE')
    kinds = sanitizers.asked()
    chosen = machines()
    suites.bases_with(pattern, asked('BASE', base_names(), Base))
    packages.for_arch(*suites.by_arch(chosen))
    if not pattern:
        # What the harness's own tests try out.
        packages.ensure(packages.CHECK, packages.DISTRIBUTIONS)
    with cache_lock():
        chosen_bases = suites.bases_with(pattern, assemble.chosen_bases())
        suites.prepare(chosen)
        (CACHE / 'log').mkdir(parents=True, exist_ok=True)
        totals = [] if pattern else [test_harness()]
        for base in chosen_bases:
            for kind in kinds:
                total, text = suites.test_base(base, chosen, pattern, kind)
                totals.append(total)
                if kind:
                    say(text)
    passed, failed, skipped = (sum(column) for column in zip(*totals))
    say(f'{passed} passed, {failed} failed, {skipped} skipped')
    return failed > 0 or passed == 0


# make run

def one_base(command):
    given = assemble.chosen_bases(base_names()[:1])
    if len(given) != 1:
        raise Failure(f'make {command} takes one base: give one BASE=')
    return given[0]


def run():
    start = time.monotonic()
    base = one_base('run')
    wanted = machines()
    packages.for_arch(*suites.by_arch(wanted))
    tables, failures = [], []
    with cache_lock():
        suites.prepare(wanted)
        for arch, group in suites.by_arch(wanted).items():
            series = build.Kernel(base, arch).build()
            stock = build.Kernel(base, arch, with_series=False).build()
            names = [f'Linux {assemble.tree_version(stock.source)}', 'the same with the series']
            reports = suites.boot_all([
                (kernel, machine, report.Expectation(base).only_telling())
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
        suites.prepare(chosen)
        kernel = build.Kernel(base, chosen[0].arch).build()
        archive = shell.pack(kernel)
    shell.start(chosen[0], kernel, archive)


COMMANDS = {
    'run': run, 'test': test, 'prove': prove.command, 'shell': start_shell,
    'check': check.command, 'coverage': coverage.command, 'mutate': mutate.command,
    'verify': verify.command,
    'tree': lambda: assemble.command('tree'), 'refresh': lambda: assemble.command('refresh'),
    'series': mails.command, 'bench': bench.command,
}

if __name__ == '__main__':
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
        sys.exit(f'usage: python3 -m harness {"|".join(COMMANDS)}')
    main(COMMANDS[sys.argv[1]])
