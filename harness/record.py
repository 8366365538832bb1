# SPDX-License-Identifier: GPL-2.0
"""What the long checks found last, kept in the repository with the commit they were run on."""

import hashlib
import json
import re

from harness.project import ROOT, Failure, load_toml, output_of, without_number

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


# Where each patch was tested

TESTED_HEADER = '''\
# The machines on which the tests run something of each patch: "make verify RECORD=1
# CHECK=coverage" writes this. "lines" is the digest of what the patch changes.
'''


def tested_path(base):
    return base.dir / 'tested.toml'


def changed_lines(base, patch):
    """A digest of what a patch changes, wherever that is."""
    lines = re.findall(r'^[+-].*', (base.dir / patch).read_text(), re.M)
    return hashlib.sha256('\n'.join(lines).encode()).hexdigest()[:16]


def keep_tested(base, tested):
    text = TESTED_HEADER
    for patch, _ in base.series():
        if patch in tested:
            text += (f'\n["{without_number(patch)}"]\n'
                     f'lines = "{changed_lines(base, patch)}"\n'
                     f'machines = {json.dumps(sorted(tested[patch]))}\n')
    tested_path(base).write_text(text)


def tested(base, patch):
    """The machines that run something of a patch; None if nobody knows."""
    path = tested_path(base)
    found = load_toml(path).get(without_number(patch)) if path.exists() else None
    if not found or found['lines'] != changed_lines(base, patch):
        return None
    return found['machines']
