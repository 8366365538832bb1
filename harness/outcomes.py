# SPDX-License-Identifier: GPL-2.0
"""What became of the mappings of the selftests, against what a machine's description says."""

import sys

from harness.project import Machine, main, say, show_problems

# Mappings with these have to be coherent, or to be refused.
ASKED = ('REQUIRE_COHERENT', 'HMM')

# What a machine may say of memory, and what must become of a mapping of it: of one that
# has to be coherent, and of any other.
MEANING = {
    'coherent': ('mapped, coherent', 'mapped, coherent'),
    'bounces': ('refused: ', 'mapped, stale data'),
    'revoked': ('mapped, revoked in time', 'mapped, revoked in time'),
    # For a device that has a route to the memory, but none that the machine emulates.
    'revoked unused': ('mapped, not used, revoked in time', 'mapped, not used, revoked in time'),
    'unreachable': ('refused: ', 'refused: '),
}


def key(outcome):
    return outcome['mapping'], outcome['memory'], outcome['attribute']


def is_asked(attribute):
    return attribute in ASKED


def expected(machine, mapping, memory):
    """What the machine says of some memory, or of one kind of mappings of it."""
    for name in (f'{mapping}, {memory}', memory):
        if name in machine.expect:
            return name, machine.expect[name]
    return None, None


def wrong(machine, outcomes, complete=True):
    """What the series should have done otherwise, and what was not tried if all was to be."""
    problems, tried = [], set()
    for outcome in outcomes:
        mapping, memory, attribute = key(outcome)
        name, word = expected(machine, mapping, memory)
        if word not in MEANING:
            problems.append(f'machines/{machine.name}.toml does not say, or not in a word of '
                            f'{", ".join(MEANING)}, what becomes of "{memory}" ({mapping})')
            continue
        tried.add((name, is_asked(attribute)))
        meaning = MEANING[word][0 if is_asked(attribute) else 1]
        if not outcome['result'].startswith(meaning):
            problems.append(f'{machine.name}: {mapping}, {memory}, attribute {attribute}: '
                            f'"{outcome["result"]}" instead of "{meaning.strip()}"')
    if complete:
        for name, word in machine.expect.items():
            kinds = {kind for memory, kind in tried if memory == name}
            # Without a mapping that does bounce, a refusal proves nothing.
            if not kinds or word == 'bounces' and kinds != {True, False}:
                what = {(): '', (True,): ' that may bounce'}.get((*kinds,), ' that may not')
                problems.append(f'{machine.name}: nothing was tried with "{name}"{what}')
    return problems


def rows(stock, series):
    """Pair what the two kernels did with the same mapping."""
    table = {}
    for column, outcomes in enumerate((stock, series)):
        for outcome in outcomes:
            table.setdefault(key(outcome), ['(did not run)'] * 2)[column] = outcome['result']
    return table


def unproven(machine, table):
    """What keeps a table from proving its point.

    The stock kernel may do anything with the attribute, which it does not know or gets
    wrong, but a machine on which it never lets data go stale would prove nothing.
    """
    problems = [] if table else [f'{machine.name}: no mapping was tried']
    for names, results in table.items():
        if '(did not run)' in results:
            problems.append(f'{machine.name}: {", ".join(names)}: ' + ' / '.join(results))
    if 'bounces' in machine.expect.values() and not any('stale data' in before
                                                        for before, _ in table.values()):
        problems.append(f'{machine.name}: the stock kernel never bounced')
    return problems


def show(machine, names, table):
    say(f'\n{machine.name}: {machine.purpose}')
    for (mapping, memory, attribute), results in table.items():
        say(f'  {mapping}, {memory}, attribute: {attribute}')
        for name, result in zip(names, results):
            say(f'    {name:32} {result}')


def conclusion(tables):
    """What the reader just saw, in one sentence, counted from the tables."""
    results = [(names, pair) for table in tables for names, pair in table.items()]
    asked = [pair for names, pair in results if is_asked(names[2])]
    stale = sum('stale data' in before for before, _ in asked)
    refused = sum('refused' in after for _, after in asked)
    text = (f'Of {len(asked)} mappings that have to be coherent, the stock kernel gave {stale} '
            f'stale data without an error; the series refused {refused} and mapped '
            f'{len(asked) - refused} coherently')
    revoked = sum('mapped, revoked in time' in after for _, (_, after) in results)
    before = sum('mapped, revoked in time' in before for _, (before, _) in results)
    if revoked:
        text += (f', and of the memory of a device {revoked} importers had it until it was taken '
                 f'back, which the stock kernel can do for {before}')
    return text + '.'


def command(name, log):
    from harness import report
    from harness.boot import Boot
    machine = Machine(name)
    _, programs = report.split(Boot(log).lines())
    found = [outcome for output, _ in programs.values() for outcome in report.outcomes(output)]
    return show_problems(wrong(machine, found))


if __name__ == '__main__':
    main(command, *sys.argv[1:])
