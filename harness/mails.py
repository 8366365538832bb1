# SPDX-License-Identifier: GPL-2.0
"""make series: the series as mails, for git am and review, whole and in sets."""

import email.utils
import hashlib
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from harness import assemble
from harness.assemble import IDENTITY, git
from harness.project import (CACHE, Base, Failure, asked, base_names, cache_lock, main, output_of,
                             relative, say, without_number)
from harness.sets import SECTIONS, Sets, patch_ids, split, unsaid_needs

COVER = '0000-cover-letter.mail'


def parse_signer(text):
    found = re.fullmatch(r'\s*([^<>]+?)\s*<([^<>@\s]+@[^<>@\s]+)>\s*', text)
    if not found:
        raise Failure(f'SIGNOFF={text}: expected "Name <address>"')
    return found.groups()


def names(base):
    return [without_number(patch) for patch, _ in base.series()]


def cover(base, sets):
    """Subject and text of the cover letter of the whole series."""
    if sets.all:
        counts = {each: sum(map(each.takes, names(base))) for each in sets.all}
        parts = [f' - {each.name} ({count}): {each.title}'
                 for each, count in counts.items() if count]
        return sets.title, sets.text + '\n\n' + '\n'.join(parts)
    path = base.dir / 'cover'
    try:
        subject, _, blurb = path.read_text().partition('\n\n')
    except OSError as error:
        raise Failure(f'{relative(path)}: {error.strerror}') from error
    return subject.strip(), blurb.strip()


def format_patches(repo, end, out, identity, *options):
    """Mails of the commits up to this one, and a cover letter that has no text yet."""
    out.mkdir(parents=True)
    git(repo, 'format-patch', '--quiet', '--cover-letter', '--zero-commit', '--no-signature',
        '--no-renames', '--abbrev=12', '--output-directory', str(out), *options, f'base..{end}',
        identity=identity)
    # Not a .patch, so that git am takes *.patch.
    return (out / '0000-cover-letter.patch').rename(out / COVER), sorted(out.glob('*.patch'))


def fill_in(letter, subject, text):
    letter.write_text(letter.read_text().replace('*** SUBJECT HERE ***', subject)
                      .replace('*** BLURB HERE ***', text))


def addresses(repo, patches):
    """Whom the kernel's own MAINTAINERS names for patches: To: whom, and Cc: whom."""
    listed = output_of(['perl', 'scripts/get_maintainer.pl', '--no-git', '--no-git-fallback',
                        '--no-fixes', '--no-rolestats', '--roles', *map(str, patches)], cwd=repo)
    to, cc = [], []
    for line in listed.splitlines():
        # Names and subsystems may have brackets of their own.
        found = re.fullmatch(r'(.*?@\S+) \(([\w ]+).*\)', line)
        if not found:
            raise Failure(f'get_maintainer.pl says what is no address with a role: {line}')
        who, role = found.groups()
        named = email.utils.parseaddr(who)
        (to if role in ('maintainer', 'supporter', 'odd fixer') else cc).append(
            email.utils.formataddr(named))
    if not to:
        raise Failure(f'get_maintainer.pl names nobody who takes {patches[0].name}')
    return to, cc


def letter_of_set(repo, sets, each, ends, version):
    """The text of a set's cover letter, and the lines that tools look for at its end."""
    parts = [each.text['what'], each.text['why']]
    parts += [f'{heading}:\n\n{each.text[key]}' for key, heading in SECTIONS.items()]
    needs = [need for need in sets.prerequisites(each) if need.name in ends]
    parts.append(f'These patches apply to Linux {version} on their own.' if not needs else
                 f'These patches also apply to Linux {version} without those of another set,\n'
                 f'but they are to be built on top of:')
    trailers = [f'change-id: {each.change_id()}']
    for need in needs:
        why = each.needs.get(need.name, 'a set that this one needs is built on it.')
        parts.append(f'"{need.title}":\n{why}')
        trailers.append(f'prerequisite-change-id: {need.change_id()}:v{need.version}')
        trailers += [f'prerequisite-patch-id: {patch}'
                     for patch in patch_ids(repo, ends[need.name])]
    return '\n\n'.join(parts), '\n'.join(trailers)


def write_mbox(path, mails, thread=None):
    """One file of all mails; b4 takes only a thread, and no subject of several lines."""
    with open(path, 'w') as mbox:
        for number, mail in enumerate(mails):
            text = mail.read_text().rstrip('\n')
            if thread:
                ids = f'Message-Id: <{thread}-{number}@localhost.invalid>\n'
                if number:
                    ids += f'In-Reply-To: <{thread}-0@localhost.invalid>\n'
                header, body = text.split('\n\n', 1)
                header = re.sub(r'^Subject: .*(?:\n .*)*',
                                lambda found: ids + found[0].replace('\n', ''), header, flags=re.M)
                text = f'{header}\n\n{body}'
            mbox.write(text + '\n\n')


def verify(repo, base, end, patches, name):
    """A set is what git am makes of its mails, on the plain base and without the other sets."""
    digest = hashlib.sha256(end.encode() + b''.join(path.read_bytes() for path in patches))
    proof = CACHE / 'applies' / f'set-{digest.hexdigest()[:16]}'
    if proof.exists():
        return
    with assemble.scratch_tree(repo, base) as tree:
        try:
            git(tree, 'am', '--quiet', *map(str, patches))
        except Failure as failure:
            raise Failure(f'set {name} of {base.name} does not apply on its own: '
                          f'{failure}') from failure
        if git(tree, 'rev-parse', 'HEAD^{tree}') != git(repo, 'rev-parse', f'{end}^{{tree}}'):
            raise Failure(f'set {name} of {base.name} becomes something else by git am')
    proof.parent.mkdir(parents=True, exist_ok=True)
    proof.touch()


def refuse(problems):
    if problems:
        raise Failure('\n'.join(problems))


def write_sets(repo, base, sets, commit, out, identity):
    """Each set as a directory of mails and an mbox, with the addresses that they go to."""
    written = []
    ends = split(sets, repo, commit, identity)
    refuse(unsaid_needs(sets, repo, ends))
    version = assemble.tree_version(repo)
    for each in sets.all:
        if each.name not in ends:
            continue
        end, prefix = ends[each.name], f'PATCH v{each.version}' if each.version > 1 else 'PATCH'
        with tempfile.TemporaryDirectory() as scratch:
            _, plain = format_patches(repo, end, Path(scratch) / 'set', identity)
            to, cc = addresses(repo, plain)
        letter, patches = format_patches(
            repo, end, out / each.name, identity, f'--subject-prefix={prefix}',
            *(f'--to={who}' for who in to), *(f'--cc={who}' for who in cc))
        text, trailers = letter_of_set(repo, sets, each, ends, version)
        fill_in(letter, each.title, text)
        letter.write_text(f'{letter.read_text().rstrip()}\n\n{trailers}\n')
        write_mbox(out / f'{each.name}.mbox', [letter, *patches],
                   f'{each.change_id()}-v{each.version}')
        verify(repo, base, end, patches, each.name)
        written.append(f'{relative(out / each.name)}: {len(patches)} of the patches, to {len(to)} '
                       f'and copied to {len(cc)} addresses; {each.name}.mbox')
    return written


def export(base, signer=None):
    """Write out/<base>: patches for git am, an mbox with cover letter, a quilt series, sets."""
    sets = Sets(base)
    refuse(sets.problems(names(base)))
    repo = assemble.stock(base)
    if signer:
        commit = assemble.scratch_commit(repo, base, identity=signer, sign=True)
    else:
        commit = assemble.assembled_commit(repo, base)
    out = base.root / 'out' / base.name
    shutil.rmtree(out, ignore_errors=True)
    try:
        return write(base, repo, sets, commit, out, signer or IDENTITY)
    except BaseException:
        # Nobody is to send half of it.
        shutil.rmtree(out, ignore_errors=True)
        raise


def write(base, repo, sets, commit, out, identity):
    letter, patches = format_patches(repo, commit, out, identity)
    fill_in(letter, *cover(base, sets))
    (out / 'series').write_text(''.join(path.name + '\n' for path in patches))
    write_mbox(out / 'series.mbox', [letter, *patches])
    say(f'{relative(out)}: {len(patches)} patches for "git am", series.mbox with cover letter, '
        f'series for quilt')
    for line in write_sets(repo, base, sets, commit, out, identity) + sets.idle(names(base)):
        say(line)
    return out


def command():
    signer = os.environ.get('SIGNOFF')
    signer = parse_signer(signer) if signer else None
    asked('BASE', base_names(), Base)
    with cache_lock():
        for base in assemble.chosen_bases():
            export(base, signer)


if __name__ == '__main__':
    main(command, *sys.argv[1:])
