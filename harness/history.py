# SPDX-License-Identifier: GPL-2.0
"""The commits of a series, and what each of them changes."""

import hashlib
import json
import re
from pathlib import Path

from harness import assemble
from harness.assemble import files_with, git
from harness.project import CACHE, Failure, keep

# They say how a kernel is built, whatever it is built from.
BUILD = re.compile(r'(?:^|/)(?:Kconfig[^/]*|Makefile[^/]*|Kbuild[^/]*)$')
# Nothing of it is compiled into a kernel.
ASIDE = re.compile(r'Documentation/|tools/(?:dma|testing)/|scripts/coccinelle/|MAINTAINERS$|'
                   r'.*\.kunitconfig$')


# What a header declares, in the changed lines of a diff.
FUNCTIONS = (r'^[-+](?=\w).*?\b(\w+)\(', r'^[-+]#define (\w+)')
MEMBERS = (r'^[-+](?:struct|enum) (\w+)', r'^[-+].*\(\*(\w+)\)\(',
           r'^[-+]\t(?!return )[^()=]*?(\w+)(?:\[\w+\])?(?: : \d+)?;')


def digest(*content):
    return hashlib.sha256(repr(content).encode()).hexdigest()[:24]


def position(text):
    """Which commit of a series an argument of a command names; None if there is none."""
    if text and not text.isdigit():
        raise Failure(f'{text} is not the number of a commit')
    return int(text) if text else None


def included_as(header):
    """A pattern for what stands between the brackets or quotes."""
    found = re.search(r'(?:^|/)include/(?:uapi/)?(.*)', header)
    return re.escape(found[1]) if found else '(.*/)?' + re.escape(Path(header).name)


def words(names):
    return rf'\b({"|".join(sorted(names))})\b'


class Commit:
    """One commit: what it changes, and all files that differ from the base by then."""

    def __init__(self, name, tree, subject, files):
        self.name, self.tree, self.subject = name, tree, subject
        self.files = files
        self.changed = set()

    def part(self, wanted):
        """The content of some of the files that differ from the base."""
        return sorted((name, blob) for name, blob in self.files.items() if wanted(name))


class Series:
    """The commits of a series, and which files each one can break."""

    def __init__(self, base):
        self.base = base
        self.repo = assemble.stock(base)
        last = assemble.assembled_commit(self.repo, base)
        self.start = Commit(*git(self.repo, 'show', '--no-patch', '--format=%H%n%T%n%s',
                                 'base').splitlines()[:3], {})
        self.commits = self.read(last)
        self.numbers = {commit.name: number for number, commit in enumerate(self.commits, 1)}
        touched = {name for commit in self.commits for name in commit.changed}
        self.sources = {name for name in touched if name.endswith('.c')}
        self.directories = sorted({str(Path(name).parent) for name in self.sources})

    def read(self, last):
        """One command instead of several for each commit."""
        text = git(self.repo, 'log', '--reverse', '--raw', '--no-abbrev', '--no-renames',
                   '--format=%x00%H%n%T%n%s', f'base..{last}')
        commits, stock, before = [], {}, self.start
        for block in text.split('\0')[1:]:
            name, tree, subject, *lines = block.splitlines()
            commit = Commit(name, tree, subject, dict(before.files))
            for line in filter(None, lines):
                what, _, path = line.partition('\t')
                old, new = what.split()[2:4]
                stock.setdefault(path, old)
                commit.files[path] = new
                if new == stock[path]:
                    del commit.files[path]
                if not ASIDE.match(path):
                    commit.changed.add(path)
            commits.append(commit)
            before = commit
        return commits

    def number(self, commit):
        return self.numbers.get(commit.name, 0)

    def before(self, commit):
        number = self.number(commit)
        return self.commits[number - 2] if number > 1 else self.start

    def grep(self, commit, pattern, *paths):
        """The files at a commit that have a line like that."""
        found = files_with(self.repo, pattern, commit.name, '--', *paths)
        return {line.partition(':')[2] for line in found}

    def including(self, commit, names, kind):
        """The files of a kind in the touched directories that include one of the headers."""
        pattern = '|'.join(included_as(name) for name in names)
        return self.grep(commit, rf'#include [<"]({pattern})[>"]',
                         *(f':(glob){directory}/*.{kind}' for directory in self.directories))

    def includers(self, commit, headers):
        """The C files that include one of the headers, or one that does."""
        more = headers = set(headers)
        while more:
            more = self.including(commit, more, 'h') - headers
            headers = headers | more
        return self.including(commit, headers, 'c') if headers else set()

    def users(self, commit, headers, includers):
        """Those of the including files that use what a commit declares otherwise."""
        if not includers:
            return set()
        diff = git(self.repo, 'diff', '--unified=0', self.before(commit).name, commit.name, '--',
                   *headers)
        functions = {name for pattern in FUNCTIONS for name in re.findall(pattern, diff, re.M)}
        names = functions | {name for pattern in MEMBERS
                             for name in re.findall(pattern, diff, re.M)}
        # Functions and macros may also be used by what another header defines.
        through = self.grep(commit, words(functions), 'include/*.h',
                            *(f':(glob){directory}/*.h' for directory in self.directories)) \
            if functions else set()
        direct = self.grep(commit, words(names), *sorted(includers)) if names else set()
        return direct | self.includers(commit, through - headers) & includers

    def find_affected(self, commit):
        sources = {name for name in commit.changed if name.endswith('.c')}
        headers = {name for name in commit.changed if name.endswith('.h')}
        includers = self.includers(commit, headers)
        found = sources | includers & self.sources | self.users(commit, headers, includers)
        more = {}
        for name in sorted(includers):
            more.setdefault(str(Path(name).parent), name)
        for name in found:
            more.pop(str(Path(name).parent), None)
        return [sorted(found | set(more.values())), sorted(found)]

    def affected(self, commit):
        """C files that a commit can break.

        Those that it changes; of those that include what it changes the ones that see a name
        which is declared otherwise, and the ones that the series changes elsewhere. A header may
        also be wrong by itself, whoever includes it: hence one more for each other directory.
        Then the same without those.
        """
        cached = CACHE / 'bisect' / 'affected' / digest(
            self.before(commit).tree, commit.tree, self.directories, sorted(self.sources))
        if not cached.exists():
            keep(cached, json.dumps(self.find_affected(commit)))
        return [set(names) for names in json.loads(cached.read_text())]
