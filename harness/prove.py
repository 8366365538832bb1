# SPDX-License-Identifier: GPL-2.0
"""make prove: patch by patch, the cases that fail without it and pass with it."""

import fnmatch
import os
import re
import sys

from harness import assemble, boot, build, cost, packages, proof, readme, report, suites
from harness.project import (CACHE, Base, Failure, Machine, asked, base_names, cache_lock,
                             machines, main, say, without_number)


class Stage(build.Kernel):
    """One of many kernels that are built in one tree; it lacks some of the patches."""

    def __init__(self, base, arch, tree, flavour, lost):
        super().__init__(base, arch, source=tree)
        self.flavour = flavour
        # The options that the missing patches bring.
        self.lost = lost
        self.programs = False

    def tests_fragment(self):
        lines = super().tests_fragment().splitlines(keepends=True)
        return ''.join(line for line in lines
                       if line.partition('=')[0].removeprefix('CONFIG_') not in self.lost)

    # Compiled anew for each kernel, so only where they are needed.

    def selftests(self):
        return super().selftests() if self.programs else []

    def test_modules(self):
        return super().test_modules() if self.programs else []


class ProvedKernel(Stage):
    """The base with all tests and the first patches that are none."""

    log_name = 'prove-{kernel.base.name}-{kernel.arch}'

    def __init__(self, plan, arch, tree, applied):
        super().__init__(plan.base, arch, tree, f'patch-{applied}' if applied else 'stock',
                         plan.lost_options(applied))
        self.name = f'Linux {assemble.tree_version(tree)} with ' \
            f'{f"{applied} of {len(plan.rest)} patches" if applied else "the tests"} {arch}'


def boot_cases(kernel, machine, proofs):
    """Boot a machine for some cases and read what became of them."""
    cases = proof.Cases(kernel.base, [one.pattern for one in proofs], machine.arch)
    append = f'kunit.filter_glob={cases.glob()}' if cases.suites else 'kunit.enable=0'
    log = CACHE / 'log' / f'prove-{kernel.base.name}-{kernel.flavour}-{machine.name}.log'
    say(f'  boot {machine.name} for {proofs[0].pattern}'
        + (f' and {len(proofs) - 1} more' if proofs[1:] else ''))
    done = boot.boot(machine, kernel.image, kernel.pack_tests(), f'{append} -- {cases.arguments()}',
                     log)
    return report.Report(done, kernel.source, cases)


def measure(kernel, machine, proofs):
    """What became of the cases of each proof.

    A kernel with defects may not get through all cases, or warn during one of them. The
    others, or which one it was, are then found out with a boot for each proof alone.
    """
    found = boot_cases(kernel, machine, proofs)
    seen = {}
    for one in proofs:
        results = [result for result in found.results if proof.matches(one.pattern, result)]
        failed = any(result.status == 'failed' for result in results)
        lost = proof.Cases(kernel.base, [one.pattern], machine.arch).missing(results)
        if failed and not lost or not found.problems and results:
            seen[one] = proof.Seen(results)
        elif len(proofs) > 1:
            seen |= measure(kernel, machine, [one])
        else:
            seen[one] = proof.Seen(results, short((found.problems or ['did not run'])[0]))
    return seen


def short(problem):
    """A line of a log without what only takes the place of its words."""
    words = re.sub(r'^unexpected in the log: (?:\[ *[\d.]+\] )?', '', problem)
    return words if len(words) < 60 else words[:57] + '...'


def measure_arch(kernel, proofs):
    kernel.programs = any(proof.Cases(kernel.base, [one.pattern]).programs for one in proofs)
    try:
        kernel.build()
    except Failure as failure:
        raise Failure(f'{failure}\nIf it is a test that uses what a later patch brings, name that '
                      f'patch in proof.toml: see [[test]] there.') from failure
    by_machine = {}
    for one in proofs:
        by_machine.setdefault(one.machine, []).append(one)
    seen = {}
    for found in suites.boot_all([(kernel, Machine(name), group)
                                  for name, group in by_machine.items()], measure):
        seen |= found
    return seen


def measure_step(plan, tree, applied, proofs):
    """What became of the cases of each proof on the base with the first patches."""
    seen = {one: proof.Seen(wrong=f'cannot be built: {why}')
            for suite, why in plan.unbuilt(applied).items()
            for one in proofs if fnmatch.fnmatch(suite, one.suite)}
    by_arch = {}
    for one in proofs:
        if one not in seen:
            by_arch.setdefault(Machine(one.machine).arch, []).append(one)
    for arch, group in by_arch.items():
        seen |= measure_arch(ProvedKernel(plan, arch, tree, applied), group)
    return seen


def commits(plan, repo):
    """The base with the tests, and that with one more patch at a time."""
    ordered = proof.only(plan.base, plan.order())
    try:
        last = assemble.assembled_commit(repo, ordered)
    except Failure as failure:
        raise Failure(f'with the tests in front of all other patches: {failure}') from failure
    series = assemble.assembled_commit(repo, plan.base)
    if assemble.git(repo, 'diff', '--name-only', series, last):
        raise Failure(f'{plan.source}: the patches give another kernel when the tests come first, '
                      f'so what is proven would not be the series')
    found = assemble.git(repo, 'rev-list', '--reverse', f'base..{last}').split()
    if len(found) != len(plan.order()):
        raise Failure(f'Linux {plan.base.version} already has some of the patches')
    return ['base', *found][len(plan.tests):]


def named_patches(plan, wanted):
    """The patches that PATCH= names."""
    known = [patch for patch, _ in plan.rest
             if any(fnmatch.fnmatch(word, wanted) for word in (
                 patch, without_number(patch), readme.subject(plan.base, patch)))]
    if not known:
        raise Failure(f'PATCH={wanted} names no patch of {plan.base.name} that may be proven: '
                      f'give a name as in {plan.source}, or a subject; wildcards work')
    return known


def chosen_proofs(plan):
    """What PATCH=, MACHINE= and SUITE= leave of the proofs."""
    chosen = [one for proofs in plan.proofs.values() for one in proofs]
    if os.environ.get('PATCH'):
        known = named_patches(plan, os.environ['PATCH'])
        if set(known) <= set(plan.untested):
            raise Failure('\n'.join(f'{without_number(patch)} is untested: '
                                    f'{plan.untested[patch]}' for patch in known))
        chosen = [one for one in chosen if one.patch in known]
    names = {machine.name for machine in machines()}
    suite = os.environ.get('SUITE') or '*'
    chosen = [one for one in chosen if one.machine in names
              and any(fnmatch.fnmatch(word, suite) for word in (one.suite, one.pattern))]
    if not chosen:
        raise Failure(f'{plan.source} names no case for what PATCH=, MACHINE= and SUITE= select')
    return chosen


def is_narrowed():
    return any(os.environ.get(name) for name in ('PATCH', 'MACHINE', 'SUITE'))


def verdict(plan, one, seen):
    at = plan.position(one.patch)
    return proof.unproven(*(seen[applied][one] for applied in (0, at, at + 1)),
                          proof.Cases(plan.base, [one.pattern]).case_of)


def show(plan, proofs, seen):
    """A table, patch by patch; the patches that are not proven."""
    unproven = []
    rows = {one: (f'  {one.machine}', one.pattern, str(seen[0][one]),
                  str(seen[plan.position(one.patch) + 1][one])) for one in proofs}
    header = ('  machine', 'case', f'Linux {plan.base.version}', 'with the patch')
    lines = dict(zip([None, *rows], cost.columns([header, *rows.values()])))
    say('\n' + lines[None])
    for patch, _ in plan.rest:
        group = [one for one in proofs if one.patch == patch]
        if group:
            say(readme.subject(plan.base, patch))
        elif patch in plan.untested and not is_narrowed():
            say(f'{readme.subject(plan.base, patch)}\n  untested: {plan.untested[patch]}')
        for one in group:
            say(lines[one])
            wrong = verdict(plan, one, seen)
            if wrong:
                unproven.append(patch)
                say(f'    NOT PROVEN: {wrong}')
                show_failures(seen[plan.position(patch) + 1][one])
    return list(dict.fromkeys(unproven))


def show_failures(seen):
    for name in sorted(seen.names('failed')):
        say(f'      {name}')
        for line in seen.results[name].detail.splitlines()[-6:]:
            say(f'        {line}')


def conclusion(plan, proofs, unproven):
    patches = list(dict.fromkeys(one.patch for one in proofs))
    text = (f'Linux {plan.base.version}: {len(patches) - len(unproven)} of {len(patches)} patches '
            f'are proven, by cases that fail without the patch and pass with it')
    if plan.untested and not is_narrowed():
        text += f'; {len(plan.untested)} more have none, for the reasons that are given'
    return text + '.'


def prepare(proofs):
    """Find out now, and not after building a kernel, what cannot be had."""
    chosen = [Machine(name) for name in dict.fromkeys(one.machine for one in proofs)]
    packages.for_arch(*{machine.arch for machine in chosen})
    suites.prepare(chosen)


def prove_base(plan, proofs):
    prepare(proofs)
    repo = assemble.stock(plan.base)
    found = commits(plan, repo)
    seen = {}
    steps = plan.steps(proofs)
    for number, (applied, wanted) in enumerate(steps.items(), 1):
        say(f'kernel {number} of {len(steps)}: Linux {plan.base.version} with the tests and '
            f'{applied} of {len(plan.rest)} other patches, for {len(wanted)} of the cases')
        tree = assemble.check_out(repo, CACHE / 'prove' / repo.name, found[applied])
        seen[applied] = measure_step(plan, tree, applied, wanted)
    unproven = show(plan, proofs, seen)
    say('\n' + conclusion(plan, proofs, unproven))
    return not unproven


def result(base):
    """One sentence for the record; None if nothing says what proves the patches of the base."""
    if not proof.path(base).is_file():
        return None
    plan = proof.Plan(base).checked()
    proofs = chosen_proofs(plan)
    if not prove_base(plan, proofs):
        raise Failure(f'not every patch of {base.name} is proven')
    return conclusion(plan, proofs, [])


def chosen_bases():
    """What BASE= selects; without it all that say what proves them."""
    if os.environ.get('KERNEL'):
        raise Failure('make prove is about the base that the series is made for: not with KERNEL=')
    known = [name for name in base_names() if proof.path(Base(name)).is_file()]
    chosen = asked('BASE', known, Base)
    for base in chosen:
        if base.name not in known:
            raise Failure(f'BASE={base.name} has no {proof.path(base).name}, which would say what '
                          f'proves its patches: choose one of {", ".join(known)}')
    return chosen


def command():
    plans = [proof.Plan(base).checked() for base in chosen_bases()]
    chosen = [(plan, chosen_proofs(plan)) for plan in plans]
    with cache_lock():
        proven = [prove_base(plan, proofs) for plan, proofs in chosen]
    return not all(proven)


if __name__ == '__main__':
    main(command, *sys.argv[1:])
