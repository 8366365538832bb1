# SPDX-License-Identifier: GPL-2.0
"""Turn base and series into git trees, and a git tree back into the series."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import fetch, packages, readme
from harness.project import (CACHE, ROOT, Base, Failure, asked, base_names, cache_lock, main,
                             output_of, relative, say, without_number)

# The same commits, down to their hashes, whoever makes them and whenever.
IDENTITY = ('DMA coherence series', 'dma-coherence@localhost.invalid')
DATE = '2026-01-01T00:00:00+0000'


def git(repo, *arguments, identity=IDENTITY, environment=(), **options):
    name, mail = identity
    environment = dict(os.environ, GIT_COMMITTER_NAME=name, GIT_COMMITTER_EMAIL=mail,
                       GIT_AUTHOR_NAME=name, GIT_AUTHOR_EMAIL=mail,
                       GIT_COMMITTER_DATE=DATE, GIT_AUTHOR_DATE=DATE,
                       GIT_CONFIG_GLOBAL='/dev/null', GIT_CONFIG_NOSYSTEM='1') | dict(environment)
    return output_of(['git', '-C', str(repo), '-c', 'advice.detachedHead=false',
                      '-c', 'gc.auto=0', '-c', 'core.quotePath=false', '-c', 'safe.directory=*',
                      *arguments], env=environment, **options)


def files_with(repo, pattern, *arguments):
    """The files that git grep finds the pattern in."""
    done = subprocess.run(['git', '-C', str(repo), 'grep', '--files-with-matches', '-E', pattern,
                           *arguments], capture_output=True, text=True)
    # It ends with 1 if there are none.
    if done.returncode > 1:
        raise Failure(f'{repo} is no git tree of a kernel: {done.stderr.strip()}')
    return done.stdout.splitlines()


def version_in(makefile):
    found = dict(re.findall(r'^(VERSION|PATCHLEVEL|SUBLEVEL) = (\d+)$', makefile, re.M))
    return '{VERSION}.{PATCHLEVEL}.{SUBLEVEL}'.format(**found) if len(found) == 3 else None


def tree_version(tree):
    """What a kernel tree says it is, for instance 6.18.15."""
    try:
        makefile = (tree / 'Makefile').read_text(errors='replace')
    except OSError:
        makefile = ''
    version = version_in(makefile)
    if not version:
        raise Failure(f'{tree} is not a Linux source tree: its Makefile names no version')
    return version


def import_tree(target, fill):
    """Make a git repository of one commit from what fill() puts into a directory."""
    if (target / '.git' / 'imported').exists():
        return target
    part = target.with_name(target.name + '.part')
    shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)
    try:
        fill(part)
        version = tree_version(part)
        say(f'  import Linux {version} into git')
        git(part, 'init', '--quiet', '--initial-branch=stock')
        # A packaged tree may ignore all of its files.
        git(part, 'add', '--all', '--force', '.')
        git(part, 'commit', '--quiet', '--message', f'Linux {version}')
        git(part, 'tag', 'base')
        (part / '.git' / 'imported').touch()
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def import_release(version, sources):
    """The pristine tree of a release as a git repository in the cache."""
    for source in sources:
        other = CACHE / 'base' / f'{version}-{source["sha256"][:8]}'
        if (other / '.git' / 'imported').exists():
            return other
    archive, source = fetch.tarball(version, sources)
    target = CACHE / 'base' / f'{version}-{source["sha256"][:8]}'
    return import_tree(target, lambda part: fetch.unpack(archive, part, source))


def chosen_bases(default=None):
    """What BASE= selects; without it the one that KERNEL= is a version of, or all or some."""
    given = fetch.given()
    if not given or os.environ.get('BASE'):
        return asked('BASE', base_names(), Base, default)
    version = tree_version(import_given(given))
    name = version.rsplit('.', 1)[0]
    if name not in base_names():
        raise Failure(f'KERNEL={given} is Linux {version}: there are series for '
                      f'{", ".join(base_names())} only')
    return [Base(name)]


def import_given(path):
    """The kernel the user named with KERNEL=, which stays as it is."""
    if path.is_dir():
        try:
            commit = git(path, 'rev-parse', 'HEAD').strip()
        except Failure as failure:
            raise Failure(f'KERNEL={path} is neither a git tree nor an archive') from failure
        if git(path, 'status', '--porcelain', '--untracked-files=no'):
            raise Failure(f'KERNEL={path} has changes that are not committed: commit or stash '
                          f'them, since it is the commit that is used')

        def fill(part):
            part.mkdir(parents=True)
            with subprocess.Popen(['git', '-C', str(path), 'archive', commit],
                                  stdout=subprocess.PIPE) as archive:
                output_of(['tar', '--extract', '--directory', str(part)], stdin=archive.stdout)
            if archive.returncode:
                raise Failure(f'KERNEL={path}: git archive failed')
        return import_tree(CACHE / 'base' / f'given-{commit[:12]}', fill)
    packages.ensure(packages.BUILD)
    digest = fetch.sha256(path)[:12]
    return import_tree(CACHE / 'base' / f'given-{digest}',
                       lambda part: fetch.unpack(path, part))


def stock(base):
    """The git repository of the base kernel, checked out without the series."""
    given = fetch.given()
    if not given:
        return import_release(base.version, base.sources)
    tree = import_given(given)
    version = tree_version(tree)
    if version.rsplit('.', 1)[0] != base.name:
        raise Failure(f'KERNEL={given} is Linux {version}, BASE={base.name} needs '
                      f'{base.name}.x')
    return tree


def unneeded(tree, base, name):
    """Why another release needs no patch: a commit of mainline that it has, or else a reason."""
    for entry in base.unneeded:
        if name == entry['patch'] and (tree / entry['file']).is_file() \
                and entry['has'] in (tree / entry['file']).read_text(errors='replace'):
            return entry.get('because') or f'it has mainline commit {entry["commit"]}'
    return None


def apply_series(tree, base, identity=IDENTITY, sign=False):
    """git am the series into a tree, each patch together with its new files."""
    version = tree_version(tree)
    extra = ['--reset-author', '--signoff'] if sign else []
    for patch, files in base.series():
        why = unneeded(tree, base, without_number(patch))
        if why:
            say(f'  Linux {version} does not need {patch}: {why}')
            continue
        try:
            git(tree, 'am', '--quiet', '--empty=keep', str(base.dir / patch), identity=identity)
        except Failure as failure:
            detail = subprocess.run(['git', '-C', str(tree), 'apply', '--check',
                                     str(base.dir / patch)], capture_output=True, text=True)
            subprocess.run(['git', '-C', str(tree), 'am', '--abort'], capture_output=True)
            where = detail.stderr.strip().splitlines()
            raise Failure(f'{relative(base.dir / patch)} does not apply to Linux {version}: '
                          + (where[0] if where else str(failure))) from failure
        for name in files:
            if (tree / name).exists():
                raise Failure(f'{name} would overwrite a file of Linux {version}: '
                              f'change it with a patch instead')
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(base.root / name, tree / name)
            git(tree, 'add', '--force', '--sparse', name)
        if files or sign:
            git(tree, 'commit', '--quiet', '--amend', '--no-edit', '--allow-empty', *extra,
                identity=identity)
    return git(tree, 'rev-parse', 'HEAD').strip()


def files_of(patches):
    """The files of a kernel tree that patches change; not all of them need come from git."""
    return {name for patch in patches for names in re.findall(
        r'^--- [^\s/]*/(\S+).*\n\+\+\+ [^\s/]*/(\S+)', patch.read_text(errors='replace'), re.M)
        for name in names} - {'dev/null'}


def touched_files(base):
    """Every file of a kernel tree that the patches change, and Makefile for its version."""
    return sorted({'Makefile'} | files_of(base.dir / patch for patch, _ in base.series()))


@contextlib.contextmanager
def scratch_tree(repo, base):
    """A throw-away sparse worktree of the base, without the files that no patch touches."""
    with tempfile.TemporaryDirectory(prefix='dma-coherent-') as scratch:
        tree = Path(scratch) / 'tree'
        git(repo, 'worktree', 'prune')
        git(repo, 'worktree', 'add', '--quiet', '--no-checkout', '--detach', str(tree), 'base')
        try:
            git(tree, 'sparse-checkout', 'set', '--no-cone',
                *('/' + name for name in touched_files(base) + base.new_files()))
            git(tree, 'checkout', '--quiet', '--detach', 'base')
            yield tree
        finally:
            git(repo, 'worktree', 'remove', '--force', str(tree))


def scratch_commit(repo, base, **options):
    """Apply the series in a scratch tree; the files of the others keep their times."""
    with scratch_tree(repo, base) as tree:
        return apply_series(tree, base, **options)


def kept_commit(repo, ref, make):
    """The commit that a reference keeps from last time, which make() makes if it does not."""
    known = subprocess.run(['git', '-C', str(repo), 'rev-parse', '--quiet', '--verify', ref],
                           capture_output=True, text=True)
    if known.returncode == 0:
        return known.stdout.strip()
    commit = make()
    git(repo, 'update-ref', ref, commit)
    return commit


def assembled_commit(repo, base):
    """The commit of base plus series, made anew only when the series has changed."""
    digest = base.digest()

    def make():
        commit = scratch_commit(repo, base)
        if base.digest() != digest:
            raise Failure(f'{relative(base.dir)} or a new file changed while it was applied: '
                          f'run the command again')
        return commit
    return kept_commit(repo, f'refs/series/{digest}', make)


def patched(base):
    """A checked-out tree of base plus series, for building."""
    repo = stock(base)
    return check_out(repo, CACHE / 'patched' / repo.name, assembled_commit(repo, base))


def check_out(repo, tree, commit):
    """A work tree of the repository at a commit; what a build left there stays."""
    if not tree.exists():
        git(repo, 'worktree', 'prune')
        git(repo, 'worktree', 'add', '--quiet', '--detach', str(tree), commit)
    if git(tree, 'rev-parse', 'HEAD').strip() != commit or \
            git(tree, 'status', '--porcelain', '--untracked-files=no'):
        git(tree, 'reset', '--quiet', '--hard', commit)
    return tree


# make tree, make refresh

def work_tree(base):
    return base.root / 'tree' / base.name


def origin(tree):
    """Where a work tree keeps the digest of the series that it was made from."""
    return tree / '.git' / 'series-digest'


SOURCES = ('*.[chS]', '*.py', '*.rst', '*.cocci', '*Kconfig', '*Makefile', '*config')


def uncommitted(tree):
    """What no commit has, also new sources that the .gitignore of a Debian kernel hides."""
    loose = [line[3:] for line in git(tree, 'status', '--porcelain').splitlines()]
    # A build in the tree would make many more.
    if not (tree / '.config').exists():
        loose += git(tree, 'ls-files', '--others', '--', *SOURCES).splitlines()
    return list(dict.fromkeys(loose))


def make_tree(base):
    """A git tree with one commit per patch, for the user to work in."""
    tree = work_tree(base)
    repo = stock(base)
    commit = assembled_commit(repo, base)
    if tree.exists():
        written = git(tree, 'rev-parse', 'refs/written').strip()
        if uncommitted(tree) or git(tree, 'rev-parse', 'HEAD').strip() != written:
            raise Failure(f'{relative(tree)} holds work that is not in the series: commit it and '
                          f'run "make refresh BASE={base.name}", or remove the directory')
        if written != commit:
            git(tree, 'fetch', '--quiet', str(repo), commit)
            git(tree, 'reset', '--quiet', '--hard', commit)
    else:
        tree.parent.mkdir(exist_ok=True)
        git(ROOT, 'clone', '--quiet', '--no-checkout', str(repo), str(tree))
        git(tree, 'fetch', '--quiet', str(repo), commit)
        git(tree, 'checkout', '--quiet', '-B', branch(base), commit)
    git(tree, 'tag', '--force', 'base', git(repo, 'rev-parse', 'base').strip())
    git(tree, 'update-ref', 'refs/written', commit)
    origin(tree).write_text(base.digest())
    say(f'{relative(tree)}: {len(base.series())} commits on top of the tag "base"; change, reorder '
        f'and amend them, then run "make refresh BASE={base.name}"')


def branch(base):
    return f'series-{base.name}'


def patch_name(number, subject):
    return f'{number:04d}-{re.sub(r"[^A-Za-z0-9_.]+", "-", subject).strip("-.")[:52]}.patch'


def read_commits(tree):
    """What the series has to hold for the commits in a tree: patches and new files."""
    commits = git(tree, 'rev-list', '--reverse', 'base..HEAD').split()
    if git(tree, 'rev-list', '--merges', 'base..HEAD'):
        raise Failure(f'{relative(tree)} has merge commits: a series is a straight line')
    patches, contents, brought_by = [], {}, {}
    for number, commit in enumerate(commits, 1):
        subject = git(tree, 'show', '--no-patch', '--format=%s', commit).strip()
        changes = git(tree, 'diff-tree', '-r', '--no-commit-id', '--no-renames', '--name-status',
                      commit).splitlines()
        new, edited = [], []
        for status, name in (change.split('\t') for change in changes):
            if name in brought_by:
                raise Failure(f'"{subject}" changes {name}, which "{brought_by[name]}" adds: '
                              f'a new file arrives complete, so squash the change into it')
            (new if status == 'A' else edited).append(name)
        for name in new:
            brought_by[name] = subject
            contents[name] = git(tree, 'show', f'{commit}:{name}', text=False)
        shown = ['--stat=72', '--summary', '--patch'] if edited else ['--no-patch']
        text = git(tree, 'show', '--format=email', *shown, '--no-renames', '--abbrev=12', commit,
                   *(['--', *(f':(top,literal){name}' for name in edited)] if edited else []))
        text = re.sub(r'^From [0-9a-f]{40} ', f'From {"0" * 40} ', text)
        patches.append((patch_name(number, subject), text, sorted(new)))
    return patches, contents


def check_work(base, tree):
    """Only a tree that is complete, and newer than the series, may be written back."""
    if not tree.exists():
        raise Failure(f'{relative(tree)} does not exist: run "make tree BASE={base.name}" first')
    loose = uncommitted(tree)
    if loose:
        raise Failure(f'{relative(tree)} has changes that are not committed: commit or remove '
                      f'{", ".join(loose[:4])} first')
    at = subprocess.run(['git', '-C', str(tree), 'symbolic-ref', '--short', 'HEAD'],
                        capture_output=True, text=True).stdout.strip()
    if at != branch(base):
        raise Failure(f'{relative(tree)} is not on its branch {branch(base)}: finish the rebase '
                      f'or check the branch out first')
    version = version_in(git(tree, 'show', 'base:Makefile'))
    if version != base.version:
        raise Failure(f'{relative(tree)} is on top of Linux {version}, and the series on top of '
                      f'{base.version}: make the tree without KERNEL= to write it back')
    if origin(tree).read_text() != base.digest():
        raise Failure(f'{relative(base.dir)} or one of its new files has changed since '
                      f'{relative(tree)} was made: undo that, or remove the tree and change '
                      f'the commits anew')


def merge_contents(root, read):
    """New files that several bases share: whoever changed one wins, two changes do not."""
    merged = {}
    for _, (_, contents) in read:
        for name, data in contents.items():
            path = root / name
            old = path.read_bytes() if path.exists() else None
            if merged.get(name, old) == old:
                merged[name] = data
            elif data not in (old, merged[name]):
                raise Failure(f'{name} is changed in the trees of two bases, each in another way')
    return merged


def refresh(bases):
    """Write the commits of the work trees back into the series."""
    for base in bases:
        check_work(base, work_tree(base))
    write_back([(base, read_commits(work_tree(base))) for base in bases])
    for base in bases:
        tree = work_tree(base)
        git(tree, 'update-ref', 'refs/written', 'HEAD')
        origin(tree).write_text(base.digest())


def write_back(read):
    """Write patches and new files; what belongs to no patch any more goes away."""
    root = read[0][0].root
    contents = merge_contents(root, read)
    before = {name for base, _ in read for name in base.new_files()}
    for base, (patches, _) in read:
        write_patches(base, patches)
        say(f'{relative(base.dir)}: {len(patches)} patches')
    for name, data in contents.items():
        write_if_changed(root / name, data)
    used = {name for other in base_names(root) for name in Base(other, root).new_files()}
    for name in before - used:
        (root / name).unlink()


def write_patches(base, patches):
    header = []
    for line in (base.dir / 'series').read_text().splitlines():
        if not line.startswith('#'):
            break
        header.append(line)
    for old in base.dir.glob('[0-9]*.patch'):
        if old.name not in {name for name, _, _ in patches}:
            old.unlink()
    lines = header
    for name, text, new in patches:
        write_if_changed(base.dir / name, text.encode(errors='surrogateescape'))
        lines += [name] + [f'    + {path}' for path in new]
    write_if_changed(base.dir / 'series', ('\n'.join(lines) + '\n').encode())


def write_if_changed(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != data:
        path.write_bytes(data)


def command(what):
    if what == 'refresh':
        # This needs nothing from the cache, so it need not wait for a build.
        refresh(asked('BASE', base_names(), Base))
        readme.update()
        return
    if what != 'tree':
        raise Failure(f'{what}: expected tree or refresh')
    asked('BASE', base_names(), Base)
    with cache_lock():
        for base in chosen_bases():
            make_tree(base)


if __name__ == '__main__':
    main(command, *sys.argv[1:])
