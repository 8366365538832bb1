# SPDX-License-Identifier: GPL-2.0
"""What the long checks found last, kept in the repository with the commit they were run on."""

import json

from harness.project import ROOT, Failure, load_toml, output_of

HEADER = '''\
# What the checks that take long found last: "make verify RECORD=1" writes this. "series"
# is the digest of the patches and new files, by which the README knows what is outdated.
'''


def path(base):
    return base.dir / 'results.toml'


def load(base):
    """The results by the name of the check."""
    return load_toml(path(base)) if path(base).exists() else {}


def commit():
    """The commit that is being checked, which must be all there is."""
    changed = output_of(['git', '-C', str(ROOT), 'status', '--porcelain']).splitlines()
    if changed:
        raise Failure(f'RECORD= keeps a result together with its commit: commit or remove '
                      f'{changed[0][3:]} first')
    return output_of(['git', '-C', str(ROOT), 'rev-parse', '--short=12', 'HEAD']).strip()


def keep(base, check, result, at):
    """Replace the result of a check."""
    results = load(base)
    results[check] = {'commit': at, 'series': base.digest(), 'result': result}
    path(base).write_text(write(results))


def write(results):
    """TOML of the results; a string of JSON is one of TOML as well."""
    text = HEADER
    for check, found in sorted(results.items()):
        text += f'\n[{json.dumps(check)}]\n'
        text += ''.join(f'{key} = {json.dumps(found[key], ensure_ascii=False)}\n'
                        for key in ('commit', 'series', 'result'))
    return text


def table(bases):
    """Rows for the README: what each check found, on which commit."""
    rows = ['| base | check | result | commit |', '|---|---|---|---|']
    for base in bases:
        digest = base.digest()
        for check, found in sorted(load(base).items()):
            since = '' if found['series'] == digest else ', the series has changed since'
            rows.append(f'| {base.name} | {check} | {found["result"]} '
                        f'| {found["commit"]}{since} |')
    return rows
