# SPDX-License-Identifier: GPL-2.0
"""The tables of README.md, made from the series and the machines."""

import email
import email.policy
import re
import sys

from harness import cost, record
from harness.project import (ROOT, Base, Failure, Machine, base_names, default_machine_names,
                             machine_names, main, without_number)

README = ROOT / 'README.md'
BOOTED = {'always': 'by default', 'verify': 'if asked for'}


def subject(base, patch):
    mail = email.message_from_string((base.dir / patch).read_text(), policy=email.policy.default)
    return ' '.join(mail['Subject'].removeprefix('[PATCH] ').split())


def mainline(base, patch):
    """The commits that a patch corresponds to, or those with the defect that it repairs."""
    name = without_number(patch)
    same = base.mainline.get(name) or [entry['commit'] for entry in base.unneeded
                                       if entry['patch'] == name and 'commit' in entry]
    if same:
        return ', '.join(same)
    fixes = re.findall(r'^Fixes: ([0-9a-f]{12})', (base.dir / patch).read_text(), re.M)
    return 'fixes ' + ', '.join(fixes) if fixes else ''


def tested_on(base, patch):
    """The machines on which tests run what a patch adds, in words."""
    found = record.tested(base, patch)
    if found is None:
        return ''
    others = [name for name in default_machine_names() if name not in found]
    if not others:
        return 'all'
    if len(others) < len(found):
        return f'all but {", ".join(others)}'
    return ', '.join(found) or 'compiled only'


def series_table():
    rows = ['| base | | what the patch does | mainline | tested on |', '|---|---|---|---|---|']
    for base in map(Base, base_names()):
        rows += [f'| {base.name} | {number} | {subject(base, patch)} | {mainline(base, patch)} '
                 f'| {tested_on(base, patch)} |'
                 for number, (patch, _) in enumerate(base.series(), 1)]
    return rows


def results_table():
    return record.table(map(Base, base_names()))


def machine_table():
    rows = ['| machine | what it is there for | booted |', '|---|---|---|']
    rows += [f'| {machine.name} | {machine.purpose} | {BOOTED[machine.when]} |'
             for machine in map(Machine, machine_names())]
    return rows


def cost_table():
    return [line for base in map(Base, base_names()) for line in cost.markdown(base)]


TABLES = {'series': series_table, 'machines': machine_table, 'cost': cost_table,
          'results': results_table}


def current(text):
    """The text of the README with its tables made anew."""
    for name, table in TABLES.items():
        block = f'<!-- {name} -->\n' + '\n'.join(table()) + f'\n<!-- end of {name} -->'
        text, count = re.subn(rf'<!-- {name} -->.*?<!-- end of {name} -->',
                              lambda _, block=block: block, text, flags=re.S)
        if count != 1:
            raise Failure(f'README.md needs one pair of comments "{name}" and "end of {name}", '
                          f'for the table between them')
    return text


def is_stale():
    text = README.read_text()
    return current(text) != text


def update():
    README.write_text(current(README.read_text()))


if __name__ == '__main__':
    main(update, *sys.argv[1:])
