# SPDX-License-Identifier: GPL-2.0
"""What becomes of each patch on kernels next to the base: it applies, is there, conflicts."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import assemble, fetch
from harness.assemble import git
from harness.project import (CACHE, Base, Failure, load_toml, main, relative, say, show_problems,
                             without_number)

APPLIES, THERE, CONFLICTS = 'applies', 'already there', 'conflicts'


def known_file(base):
    return base.dir / 'neighbours.toml'


def some_files(release, names):
    """A directory with these files of a release, as far as it has them."""
    target = CACHE / 'neighbours' / f'{release["version"]}-{release["source"][0]["sha256"][:8]}'
    listed = target / 'listed'
    have = set(listed.read_text().splitlines()) if listed.exists() else set()
    if not names <= have:
        archive, source = fetch.tarball(release['version'], release['source'])
        shutil.rmtree(target, ignore_errors=True)
        fetch.extract(archive, source, names | have, target / 'tree')
        listed.write_text('\n'.join(sorted(names | have)))
    return target / 'tree'


def refusal(tree, patch, *options):
    """Why a patch does not apply without fuzz, nothing if it does."""
    done = subprocess.run(['git', '-C', str(tree), 'apply', *options, str(patch)],
                          capture_output=True, text=True, errors='replace',
                          env={**os.environ, 'LC_ALL': 'C', 'GIT_CONFIG_GLOBAL': '/dev/null',
                               'GIT_CONFIG_NOSYSTEM': '1',
                               # There is no repository above the tree that could matter.
                               'GIT_CEILING_DIRECTORIES': str(tree.parent)})
    if not done.returncode:
        return ''
    return (done.stderr.strip() or 'no reason given').splitlines()[0].removeprefix('error: ')


def verdicts(base, release, patches):
    """What becomes of patches, of which each meets what those before it have left, and why."""
    touched = set(assemble.touched_files(base)) | set(base.new_files()) \
        | {entry['file'] for entry in base.unneeded}
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / 'tree'
        shutil.copytree(some_files(release, touched), tree)
        for name, text in patches.items():
            patch = Path(scratch) / 'patch'
            patch.write_bytes(text)
            unneeded = assemble.unneeded(tree, base, name)
            if unneeded or not refusal(tree, patch, '--check', '--reverse'):
                found[name] = THERE, unneeded
            else:
                why = refusal(tree, patch)
                found[name] = CONFLICTS if why else APPLIES, why
    return found


def whole_patches(base):
    """The patches with the new files that they bring, by their names without numbers."""
    repo = assemble.stock(base)
    commits = git(repo, 'rev-list', '--reverse',
                  f'base..{assemble.assembled_commit(repo, base)}').split()
    return {without_number(patch): git(repo, 'diff-tree', '-p', '--binary', '--no-commit-id',
                                       '--no-renames', commit, text=False)
            for (patch, _), commit in zip(base.series(), commits, strict=True)}


def record(base, found):
    lines = ['# Written by "make check RECORD=1": what becomes of each patch on each neighbour.']
    for version, patches in found.items():
        lines += ['', f'["{version}"]']
        lines += [f'{json.dumps(name)} = "{verdict}"' for name, verdict in patches.items()]
    known_file(base).write_text('\n'.join(lines) + '\n')


def check(base):
    """Show what becomes of the patches; it is a problem if that is not what is on record."""
    if not base.neighbours:
        return []
    problems, found = [], {}
    patches = whole_patches(base)
    for release in base.neighbours:
        version = release['version']
        try:
            detailed = verdicts(base, release, patches)
        except Failure as failure:
            problems.append(f'{base.name}: nothing is known about {version}: {failure}')
            continue
        found[version] = {name: verdict for name, (verdict, _) in detailed.items()}
        for name, (verdict, why) in detailed.items():
            say(f'  {version:8} {verdict:14} {name.removesuffix(".patch")}'
                + (f': {why}' if why else ''))
    if os.environ.get('RECORD'):
        if not problems:
            record(base, found)
        return problems
    known = load_toml(known_file(base)) if known_file(base).exists() else {}
    for version, verdict_of in found.items():
        before = known.get(version, {})
        problems += [f'{version}: {name} {verdict}, but {relative(known_file(base))} says '
                     f'{before.get(name, "nothing")}: make that right, or "make check '
                     f'BASE={base.name} RECORD=1" if it is'
                     for name, verdict in verdict_of.items() if before.get(name) != verdict]
        problems += [f'{relative(known_file(base))} tells of {version} and {name}, which is no '
                     f'patch of the series' for name in before if name not in verdict_of]
    problems += [f'{relative(known_file(base))} tells of {version}, which is no neighbour'
                 for version in known if version not in {each['version']
                                                         for each in base.neighbours}]
    return problems


def show(name):
    return show_problems(check(Base(name)))


if __name__ == '__main__':
    main(show, *sys.argv[1:])
