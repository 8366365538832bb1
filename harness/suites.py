# SPDX-License-Identifier: GPL-2.0
"""Boot machines for the suites and programs of a base, and read what became of them."""

from harness import boot, build, outcomes, report, sanitizers, xen
from harness.project import CACHE, Base, Failure, base_names, default_machine_names, say

# Base, machine, suite and its counts.
LINE = '{:5} {:16} {:16} {} passed, {} failed, {} skipped'


def by_arch(chosen):
    """Machines grouped by architecture, so that each kernel is built once."""
    groups = {}
    for machine in chosen:
        groups.setdefault(machine.arch, []).append(machine)
    return groups


def bases_with(pattern, bases):
    """Those that have what SUITE= names, of which there has to be one."""
    found, reasons = [], []
    for base in bases:
        try:
            report.Expectation(base, pattern)
            found.append(base)
        except Failure as reason:
            reasons.append(reason)
    if not found:
        raise reasons[0]
    return found


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
    done = kernel.heard(boot.boot(machine, kernel.image, kernel.pack_tests(), append, log,
                                  kernel.timeout))
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


def boot_all(boots, function=None):
    """Reports in the order of the boots, of which some run at a time: devices are slow.

    Or what another function returns that takes a kernel, a machine and what to look at.
    """
    # Once, before several threads want these.
    boot.accelerator(boots[0][1], boots[0][0].image)
    for kernel in {kernel for kernel, _, _ in boots}:
        kernel.pack_tests()
    yield from boot.some_at_a_time(lambda arguments: (function or boot_and_read)(*arguments), boots)


def test_base(base, chosen, pattern, kind=None):
    """Every suite on every machine for one base, one line each; the sum in numbers and words."""
    everything = not pattern and {machine.name for machine in chosen} \
        >= set(default_machine_names())
    able = sanitizers.able(kind, chosen) if kind else chosen
    total = [0, 0, 0]
    reports = []
    for arch, group in by_arch(able).items():
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
    if everything:
        unproven = report.skipped_everywhere(reports)
        if able != chosen:
            # Whole suites are about a machine that cannot boot such a kernel.
            ran = {result.suite for found in reports for result in found.results
                   if result.status != 'skipped'}
            unproven = [name for name in unproven if name.partition('.')[0] in ran]
        total[1] += len(unproven)
        for name in unproven:
            say(f'    {name} was skipped on every machine')
    names = [machine.name for machine in able]
    if kind:
        found = sum(len(report.splats) for report in reports)
        return total, sanitizers.sentence(base, kind, names, total, found)
    return total, (f'{total[0]} passed, {total[1]} failed, {total[2]} skipped on '
                   f'{", ".join(names)}')


def result(base, chosen, kind=None):
    """One sentence for the record."""
    prepare(chosen)
    total, text = test_base(base, chosen, None, kind)
    if total[1] or not total[0]:
        raise Failure(text)
    return text
