# SPDX-License-Identifier: GPL-2.0
"""make verify: what takes too long for every commit, and what was found the last time."""

import os
import sys
import time

from harness import (architectures, bisect, coverage, debian, mutate, packages, prove, readme,
                     record, sanitizers, suites)
from harness.project import (Base, Failure, Machine, asked, base_names, cache_lock,
                             default_machine_names, default_machines, machine_names, main, say)


def other_machines():
    """Those that are not booted unless asked for."""
    return [Machine(name) for name in machine_names() if name not in default_machine_names()]


def sanitized(kind):
    def result(base):
        sanitizers.control_all(base, kind, default_machines())
        return suites.result(base, default_machines(), kind)
    return result


# Each returns a sentence, or None if there is nothing to check of the base; those first that
# take least.
CHECKS = {
    'architectures': architectures.result,
    'distributions': debian.result,
    'machines': lambda base: suites.result(base, other_machines()),
    'proof': prove.result,
    'coverage': coverage.result,
    **{f'sanitizers-{kind}': sanitized(kind) for kind in sanitizers.KINDS},
    'mutation': mutate.result,
    'bisect': bisect.result,
}


def chosen_checks():
    """What CHECK= selects, all by default."""
    wanted = os.environ.get('CHECK', '').replace(',', ' ').split()
    for name in wanted:
        if name not in CHECKS:
            raise Failure(f'unknown CHECK={name}: choose one of {", ".join(CHECKS)}')
    return list(dict.fromkeys(wanted or CHECKS))


def run_check(base, name):
    """What a check says, in words; whether that is good."""
    try:
        return CHECKS[name](base), True
    except Failure as failure:
        say(str(failure))
        return f'FAILED: {str(failure).splitlines()[0]}', False


def command():
    for name in ('MACHINE', 'SUITE', 'PATCH', 'FILE', 'KERNEL'):
        if os.environ.get(name):
            raise Failure(f'make verify is about all of a series on its own base: not with {name}=')
    chosen, bases = chosen_checks(), asked('BASE', base_names(), Base)
    at = record.commit() if os.environ.get('RECORD') else None
    packages.ensure(packages.CHECK, packages.CROSS, packages.DISTRIBUTIONS)
    packages.for_arch(*{machine.arch for machine in map(Machine, machine_names())})
    failed = False
    with cache_lock():
        for base in bases:
            for name in chosen:
                start, digest = time.monotonic(), base.digest()
                text, good = run_check(base, name)
                failed = failed or not good
                if not text:
                    say(f'{base.name} {name}: there is none for this base')
                    continue
                say(f'{base.name} {name}: {text} ({time.monotonic() - start:.0f} s)')
                if at and base.digest() != digest:
                    say('the series has changed meanwhile, so this is not kept')
                    failed = True
                elif at:
                    record.keep(base, name, text, at)
                    readme.update()
    return failed


if __name__ == '__main__':
    main(command, *sys.argv[1:])
