# SPDX-License-Identifier: GPL-2.0
"""The series split into sets, one for each tree that takes some of its patches."""

import fnmatch
import hashlib
import os
import re
import subprocess
import tempfile
from pathlib import Path

from harness.assemble import DATE, git, kept_commit, patch_name
from harness.project import Failure, load_toml, relative, without_number

CODE = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()

# What every cover letter says, besides what the set is and why.
SECTIONS = {'tested': 'How this was tested', 'not_tested': 'Not tested',
            'changes': 'Changes since the last version'}

# Longer than any line of equals signs that a document may have.
MARKER = 60
CONFLICT = re.compile((rb'<{%d} ours\n(.*?)\|{%d} before\n(.*?)={%d}\n(.*?)>{%d} after\n'
                       % ((MARKER,) * 4)), re.S)


class Set:
    """One set, as described by series/<base>/sets.toml."""

    def __init__(self, base, description):
        self.base = base
        self.name = description['name']
        self.title = description['title']
        self.patterns = description['patches']
        # Other sets, and what this one wants of them.
        self.needs = {name: why.strip() for name, why in description.get('needs', {}).items()}
        self.version = description.get('version', 1)
        self.text = {key: description[key].strip('\n') for key in ('what', 'why', *SECTIONS)}

    def takes(self, name):
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.patterns)

    def change_id(self):
        """By which b4 knows the set again in its next version."""
        digest = hashlib.sha256(f'{self.base.name} {self.name}'.encode()).hexdigest()
        return f'{DATE[:10].replace("-", "")}-dma-coherent-{self.name}-{digest[:12]}'


class Sets:
    """All of sets.toml; without that file there are none."""

    def __init__(self, base):
        self.path = base.dir / 'sets.toml'
        self.all = []
        if not self.path.exists():
            return
        description = load_toml(self.path, 'title', 'text', 'set')
        self.title, self.text = description['title'].strip(), description['text'].strip()
        for entry in description['set']:
            lost = [key for key in ('name', 'title', 'patches', 'what', 'why', *SECTIONS)
                    if not entry.get(key)]
            if lost:
                raise Failure(f'{relative(self.path)}: set {entry.get("name", "without name")} '
                              f'does not say what is its {" and ".join(lost)}')
            self.all.append(Set(base, entry))

    def problems(self, names):
        """What is wrong with the description, for patches of these names."""
        if not self.all:
            return []
        where = relative(self.path)
        known = [each.name for each in self.all]
        found = [f'{where}: there are two sets {name}' for name in sorted(set(known))
                 if known.count(name) > 1]
        for name in names:
            takers = [each.name for each in self.all if each.takes(name)]
            if not takers:
                found.append(f'{where}: {name} belongs to no set')
            if len(takers) > 1:
                found.append(f'{where}: {name} belongs to the sets {" and ".join(takers)}')
        for each in self.all:
            if not re.fullmatch(r'[a-z0-9-]+', each.name):
                found.append(f'{where}: {each.name} is no name for a directory and an address')
            found += [f'{where}: set {each.name} needs {need}, which is no other set'
                      for need in each.needs if need not in known or need == each.name]
            text = '\n'.join([each.title, *each.text.values(), *each.needs.values()])
            unfit = [line for line in text.split('\n') if len(line) > 75 or not line.isascii()]
            found += [f'{where}: set {each.name} has a line that is longer than 75 or not plain '
                      f'ASCII: {line}' for line in unfit[:1]]
        return found or list(dict.fromkeys(filter(None, map(self.circle, self.all))))

    def idle(self, names):
        """Sets that nothing belongs to: not yet, or not any more."""
        return [f'{relative(self.path)}: no patch belongs to the set {each.name}'
                for each in self.all if not any(map(each.takes, names))]

    def circle(self, each):
        """The circle of needs that a set leads to, in the same words for all of its members."""
        try:
            self.prerequisites(each)
        except Failure as failure:
            return str(failure)
        return None

    def prerequisites(self, each):
        """The sets that one needs and those that these need, first things first."""
        by_name = {other.name: other for other in self.all}
        found = []

        def visit(name, above):
            if name in above:
                circle = [other for other in by_name if other in above[above.index(name):]]
                raise Failure(f'{relative(self.path)}: the sets {" and ".join(circle)} need '
                              f'each other')
            for need in by_name[name].needs:
                visit(need, [*above, name])
            if name not in found:
                found.append(name)
        visit(each.name, [])
        return [by_name[name] for name in found[:-1]]


def changed_blobs(repo, commit):
    """Mode and blob of each file that a commit changes, before and after; None without file."""
    changes = {}
    for line in git(repo, 'diff-tree', '-r', '--no-commit-id', '--no-renames', '--raw', commit,
                    '--abbrev=64').splitlines():
        info, name = line[1:].split('\t')
        _, mode, before, after, status = info.split()
        changes[name] = mode, None if status == 'A' else before, None if status == 'D' else after
    return changes


def beside(conflict):
    """Lines that one side puts next to others that the other side has not: no conflict."""
    ours, before, after = conflict.groups()
    at = after.find(before)
    rest = iter(before.splitlines())
    if at < 0 or not all(line in rest for line in ours.splitlines()):
        return conflict.group()
    return after[:at] + ours + after[at + len(before):]


def merge(repo, ours, before, after):
    """The blob with the change from before to after made to ours, None if that is not possible."""
    if ours == before:
        return after
    if None in (ours, before, after):
        return None
    with tempfile.TemporaryDirectory() as scratch:
        names = []
        for label, blob in (('ours', ours), ('before', before), ('after', after)):
            names.append(Path(scratch) / label)
            names[-1].write_bytes(git(repo, 'cat-file', 'blob', blob, text=False))
        done = subprocess.run(['git', 'merge-file', '--stdout', '--diff3', '--quiet',
                               f'--marker-size={MARKER}', '-L', 'ours', '-L', 'before',
                               '-L', 'after', *map(str, names)], capture_output=True, cwd=scratch)
        text = CONFLICT.sub(beside, done.stdout)
        if done.returncode > 127 or CONFLICT.search(text):
            return None
    return git(repo, 'hash-object', '-w', '--stdin', input=text).strip()


def turned(lines):
    """The same for "a b" and "b a": git may show either for what is added between b and a."""
    return min((lines[at:] + lines[:at] for at in range(len(lines))), default=[])


def difference(repo, commit):
    """What a commit adds and removes, file by file and in order, whatever the line numbers."""
    shown = git(repo, 'diff-tree', '-p', '-U0', '--no-commit-id', '--no-renames', commit,
                text=False)
    found = {}
    for change in re.split(rb'^diff --git ', shown, flags=re.M)[1:]:
        name, *hunks = re.split(rb'^@@ .*\n', change, flags=re.M)
        sides = [[hunk_side(hunk, sign) for sign in (b'-', b'+')] for hunk in hunks]
        # Only what has another side is where it is.
        found[name.splitlines()[0]] = [
            (old, new) if old and new else (turned(old), turned(new)) for old, new in sides]
    return found


def hunk_side(hunk, sign):
    return [line for line in hunk.splitlines() if line.startswith(sign)]


def subject(repo, commit):
    return git(repo, 'show', '--no-patch', '--format=%s', commit).strip()


def transplant(repo, commit, index, parent, touched, identity):
    """A commit like this one on top of another parent than its own."""
    entries = []
    for name, (mode, before, after) in changed_blobs(repo, commit).items():
        ours = touched.get(name)
        if name not in touched:
            found = git(repo, 'ls-tree', 'base', '--', f':(top,literal){name}').split()
            ours = found[2] if found else None
        merged = merge(repo, ours, before, after)
        if merged is None and after is not None:
            raise Failure(f'"{subject(repo, commit)}" does not apply to the plain base: what it '
                          f'changes in {name}, patches of other sets change before it')
        touched[name] = merged
        entries.append(f'{mode} {merged}\t{name}' if merged else f'0 {"0" * 40}\t{name}')
    git(repo, 'update-index', '--index-info', environment=index,
        input='\n'.join([*entries, '']).encode())
    tree = git(repo, 'write-tree', environment=index).strip()
    author = dict(zip(('GIT_AUTHOR_NAME', 'GIT_AUTHOR_EMAIL', 'GIT_AUTHOR_DATE'),
                      git(repo, 'show', '--no-patch', '--date=raw', '--format=%an%n%ae%n%ad',
                          commit).splitlines()))
    message = git(repo, 'show', '--no-patch', '--format=%B', commit, text=False).strip() + b'\n'
    made = git(repo, 'commit-tree', tree, '-p', parent, identity=identity, environment=author,
               input=message).strip()
    if difference(repo, made) != difference(repo, commit):
        raise Failure(f'"{subject(repo, commit)}" does not apply to the plain base as it is')
    return made


def alone(repo, commits, identity):
    """The commits on top of the plain base, without those that lie between them."""
    def make():
        with tempfile.TemporaryDirectory() as scratch:
            index = {'GIT_INDEX_FILE': f'{scratch}/index'}
            git(repo, 'read-tree', 'base', environment=index)
            parent, touched = git(repo, 'rev-parse', 'base').strip(), {}
            for commit in commits:
                parent = transplant(repo, commit, index, parent, touched, identity)
        return parent
    # What an earlier version of this file has made may not be what this one would make.
    key = hashlib.sha256(' '.join([CODE, *commits, *identity]).encode()).hexdigest()[:16]
    return kept_commit(repo, f'refs/sets/{key}', make)


def split(sets, repo, commit, identity):
    """The commit with which each set ends on the plain base, for the commit of the series."""
    members = {each.name: [] for each in sets.all}
    for each in git(repo, 'rev-list', '--reverse', f'base..{commit}').split():
        name = without_number(patch_name(0, subject(repo, each)))
        for taker in sets.all:
            if taker.takes(name):
                members[taker.name].append(each)
    return {name: alone(repo, commits, identity) for name, commits in members.items() if commits}


def added(repo, end):
    """The lines of C and of documents that a set adds, by file."""
    text = git(repo, 'diff', '-U0', '--no-renames', 'base', end, '--', '*.[ch]', '*.rst')
    lines = {}
    for path, changes in re.findall(r'^\+\+\+ b/(\S+)\n((?:(?!diff --git).*\n)*)', text, re.M):
        lines[path] = '\n'.join(re.findall(r'^\+(.*)', changes, re.M))
    return lines


def brought(repo, end, lines):
    """What other sets cannot do without this one: new sources, new functions and trace events."""
    news = set(git(repo, 'diff', '--no-renames', '--name-only', '--diff-filter=A', 'base', end,
                   '--', '*.[ch]').splitlines())
    for path, text in lines.items():
        if path.endswith('.h'):
            news |= set(re.findall(r'\b([a-z]\w*_\w+)\(', text))
            news |= {f'trace_{event}' for event in re.findall(
                r'^(?:TRACE_EVENT|DEFINE_EVENT)\w*\((?:\w+,\s*)?(\w+)', text, re.M)}
    words = sorted(word for word in news if '/' not in word)
    if words:
        known = subprocess.run(['git', '-C', str(repo), 'grep', '-h', '-o', '-w', '-F',
                                *(f'-e{word}' for word in words), 'base', '--', '*.h'],
                               capture_output=True, text=True).stdout
        news -= set(known.split())
    return news


def used(lines):
    """What the lines include and call, or tell readers of."""
    found = set()
    for path, text in lines.items():
        if path.endswith('.rst'):
            for kind, source in re.findall(r'^\.\. (literalinclude|kernel-doc):: (\S+)', text,
                                           re.M):
                # The one is relative to the document, the other to the kernel.
                parent = Path(path).parent if kind == 'literalinclude' else ''
                found.add(os.path.normpath(os.path.join(parent, source)))
            found |= set(re.findall(r'\b(\w+_\w+)\(\)', text))
            continue
        for header in re.findall(r'^#\s*include\s+[<"]([^>"]+)[>"]', text, re.M):
            found |= {f'include/{header}', str(Path(path).parent / header)}
        found |= set(re.findall(r'\b(\w+_\w+)\(', text))
    return found


def unsaid_needs(sets, repo, ends):
    """What a set uses and another one brings, without a word that it needs that one."""
    lines = {name: added(repo, end) for name, end in ends.items()}
    news = {name: brought(repo, end, lines[name]) for name, end in ends.items()}
    found = []
    for each in sets.all:
        there = [each.name, *(other.name for other in sets.prerequisites(each))]
        wants = used(lines.get(each.name, {})).difference(*(news.get(name, ()) for name in there))
        for name in ends:
            words = sorted(wants & news[name], key=lambda word: ('/' not in word, word)) \
                if name not in there else []
            if words:
                found.append(f'{relative(sets.path)}: set {each.name} uses {", ".join(words[:3])}, '
                             f'which the set {name} brings, and does not say that it needs that')
    return found


def patch_ids(repo, end):
    """What b4 and others recognise the patches by that have to be there before."""
    shown = git(repo, 'log', '-p', '--reverse', '--no-renames', '--full-index', f'base..{end}',
                text=False)
    return [line.split()[0] for line in
            git(repo, 'patch-id', '--stable', input=shown).splitlines()]
