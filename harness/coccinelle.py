# SPDX-License-Identifier: GPL-2.0
"""What the semantic patch for DMA_ATTR_REQUIRE_COHERENT reports of a kernel tree."""

import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import assemble, packages
from harness.project import JOBS, ROOT, Failure, load_toml, main, relative, say, show_problems

SCRIPT = 'scripts/coccinelle/api/dma_require_coherent.cocci'

# The semantic patch has nothing to say of other files, and spatch would need longer
# to find that out.
ATTRIBUTE = 'DMA_ATTR_REQUIRE_COHERENT'

# The findings that are right to be there.
ACCEPTED = ROOT / 'harness' / 'coccinelle.toml'

# What spatch fails to parse matters if it calls what the semantic patch is about.
CALL = re.compile(r'^bad:.*\bdma_(?:map|unmap|sync|iova|alloc)_\w+\(')


def options(script):
    """The options that a semantic patch asks for, as scripts/coccicheck reads them."""
    return [word for line in re.findall(r'Options:(.*)', script.read_text())
            for word in line.split()]


def spatch(tree, *arguments):
    done = subprocess.run(['spatch', *arguments], cwd=tree, capture_output=True, text=True)
    errors = done.stderr.strip()
    if done.returncode:
        raise Failure(f'spatch {arguments[-1]} failed: {(errors or "no message").splitlines()[-1]}')
    return done.stdout, errors


def of_file(tree, name, mode='report', script=ROOT / SCRIPT):
    """What spatch prints in one of the modes of coccicheck."""
    printed, errors = spatch(tree, '-D', mode, '--very-quiet', *options(script), '--cocci-file',
                             str(script), name)
    if errors:
        raise Failure(f'spatch {name} failed: {errors.splitlines()[-1]}')
    return printed


def not_parsed(tree, name):
    """The first line that matters of what spatch skips because it cannot parse it."""
    printed, errors = spatch(tree, '--parse-c', '--no-includes', name)
    lines = [line for line in (printed + errors).splitlines() if CALL.match(line)]
    return [f'{name}: spatch cannot parse "{lines[0].removeprefix("bad:").strip()}"'] if lines else []


def users(tree):
    """The files that the semantic patch can have something to say of."""
    return assemble.files_with(tree, rf'\b{ATTRIBUTE}\b', '--', '*.c', '*.h')


def of_tree(tree):
    """The findings, as path:line:columns: message, and what could not be looked at."""
    names = users(tree)
    with ThreadPoolExecutor(JOBS) as pool:
        printed = list(pool.map(lambda name: of_file(tree, name), names))
        problems = list(pool.map(lambda name: not_parsed(tree, name), names))
    return [line for text in printed for line in text.splitlines()], sum(problems, []), names


def without_lines(finding):
    """A finding without what changes when lines are added above it."""
    return re.sub(r'\bline \d+', 'line N', re.sub(r'^([^:]+):[\d:-]+:', r'\1:', finding))


def accepted(path):
    """The findings that are right to be there, each with a reason."""
    entries = load_toml(path).get('accepted', [])
    for entry in entries:
        if not entry.get('finding') or not entry.get('reason'):
            raise Failure(f'{relative(path)}: an entry has no finding or no reason')
    return Counter(entry['finding'] for entry in entries)


def compare(findings):
    """Findings that nobody has accepted, and accepted ones that are gone."""
    left = accepted(ACCEPTED)
    problems = []
    for finding in findings:
        known = without_lines(finding)
        if left[known]:
            left[known] -= 1
        else:
            problems.append(f'coccinelle: {finding}')
    return problems + [f'{relative(ACCEPTED)} accepts "{finding}", which is gone'
                       for finding in left.elements()]


def check(base, tree):
    findings, problems, names = of_tree(tree)
    say(f'  {base.name}: {len(names)} files with {ATTRIBUTE} checked with Coccinelle')
    return problems + compare(findings)


def show(tree):
    """Print the findings in a kernel tree."""
    packages.ensure(packages.COCCINELLE)
    findings, problems, _ = of_tree(Path(tree))
    return show_problems(findings + problems)


if __name__ == '__main__':
    main(show, *sys.argv[1:])
