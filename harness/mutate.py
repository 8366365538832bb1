# SPDX-License-Identifier: GPL-2.0
"""make mutate: break what the series adds, piece by piece, and see that a test notices each."""

import bisect
import collections
import fnmatch
import functools
import hashlib
import json
import os
import re
import selectors
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from pathlib import Path

from harness import assemble, boot, build, mutants, outcomes, packages, report, suites
from harness.project import (CACHE, ROOT, Failure, Machine, cache_lock, default_machine_names,
                             end_group, is_kernel_code, keep, load_toml, machine_names, machines,
                             main, relative, say)

PARTS = ROOT / 'harness' / 'mutant'
RUNNER = PARTS / 'run_mutants.c'
HEADER = 'include/linux/mutant.h'
SOURCE = 'kernel/dma/mutant.c'
KUNIT = 'lib/kunit/test.c'

# The machines in the order in which a mutant meets them: the cheapest that know most first.
ORDER = ('x86_64-iommu', 'x86_64-direct', 'x86_64-switch', 'x86_64-swiotlb',
         'arm64-direct', 'arm64-smmu', 'arm64-swiotlb', 'xen')

# As many mutants as one boot takes at most, and at least: the last boots end at about the
# same time if they have less to do, and a boot takes as long as some mutants.
AT_ONCE, AT_LEAST = 40, 4
# How many cases try a mutant before others have their turn; those closest to its file first.
TRIES = 30
# After how many suites that fail they have to pass once without a mutant.
CHECK = 10
# How long a machine may take to say something: to boot, and for a suite.
BOOT_SILENCE = 120
SILENCE = 15
# How much slower than without mutants a suite may become.
SLOWER = 5
# How often a mutant is asked for at most, and by how much more than when it did not live.
LEAST_LIMIT, MORE_OFTEN = 100000, 20

# The head of a WARN, and the line before it.
WARNED = re.compile(r'WARNING: (?:CPU: \d+ PID: \d+ at|\S+:\d+ at|at) ')
CUT = '------------[ cut here ]------------'

Killed = collections.namedtuple('Killed', 'machine suite how')


def in_words(function):
    """A function, or a macro, as people write it."""
    return function if function.startswith('#') else f'{function}()'


def name_of(mutant):
    return f'{mutant.file}:{mutant.line}: {in_words(mutant.function)}: {mutant.what}'


# What to break

class Reasons:
    """What series/BASE/mutants.toml says of mutants that no test can notice."""

    def __init__(self, base):
        self.path = base.dir / 'mutants.toml'
        description = load_toml(self.path) if self.path.exists() else {}
        self.equivalent = []
        for entry in description.get('equivalent', []):
            self.needs(entry, 'file', 'function', 'mutants', 'reason')
            self.equivalent += [dict(entry, mutant=mutant) for mutant in entry['mutants']]
        self.elsewhere = description.get('elsewhere', [])
        for entry in self.elsewhere:
            self.needs(entry, 'files', 'reason')

    def needs(self, entry, *keys):
        lost = [key for key in keys if not entry.get(key)]
        if lost:
            raise Failure(f'{relative(self.path)}: an entry has no {" and no ".join(lost)}: {entry}')

    def whole_file(self, name):
        """Whether none of a file is run anywhere, so that nothing of it need be compiled."""
        return any(fnmatch.fnmatch(name, pattern) for entry in self.elsewhere
                   if 'functions' not in entry for pattern in entry['files'])

    @staticmethod
    def is_elsewhere(entry, mutant):
        return any(fnmatch.fnmatch(mutant.file, pattern) for pattern in entry['files']) and any(
            fnmatch.fnmatch(mutant.function, pattern) for pattern in entry.get('functions', ['*']))

    @staticmethod
    def is_equivalent(entry, mutant):
        return (entry['file'], entry['function'], entry['mutant']) == \
            (mutant.file, mutant.function, mutant.what)

    def is_listed(self, mutant):
        return any(self.is_equivalent(entry, mutant) for entry in self.equivalent)

    def out_of_date(self, every, killed, reached):
        """Entries that say what is not so."""
        problems = []
        for entry in self.equivalent:
            meant = [mutant for mutant in every if self.is_equivalent(entry, mutant)]
            where = f'{relative(self.path)}: {entry["file"]}: {in_words(entry["function"])}: ' \
                f'{entry["mutant"]}'
            if not meant:
                problems.append(f'{where}: there is no such mutant any more')
            elif all(mutant in killed for mutant in meant):
                problems.append(f'{where}: is killed, so a test does notice it')
        for entry in self.elsewhere:
            meant = [mutant for mutant in every if self.is_elsewhere(entry, mutant)]
            where = f'{relative(self.path)}: {", ".join(entry["files"])}'
            if not meant:
                problems.append(f'{where}: there is no mutant any more')
            problems += [f'{where}: a test does get to {name_of(mutant)}'
                         for mutant in meant if mutant in reached]
        return problems


def one_case(text):
    """What runs the cases of a suite, so that it runs those that are asked for.

    It takes what became of a case when it was run before for a wish to skip it.
    """
    found = 'if (test_case->status == KUNIT_SKIPPED) {'
    if text.count(found) != 1:
        raise Failure(f'{KUNIT} does not look as expected: where does it skip a case?')
    return '#include <linux/mutant.h>\n' + text.replace(
        found, 'test_case->status = mutant_runs(test_case->name) ? KUNIT_SUCCESS : KUNIT_SKIPPED; '
        + found)


class Mutated:
    """A tree with all mutants of a series in it."""

    def __init__(self, base):
        self.base = base
        self.repo = assemble.stock(base)
        self.commit = assemble.assembled_commit(self.repo, base)
        self.reasons = Reasons(base)
        self.tree = CACHE / 'mutate' / self.repo.name
        self.writers, self.first = [], {}
        number = 1
        diff = assemble.git(self.repo, 'diff', '-U0', '--no-renames', 'base', self.commit)
        for name, lines in mutants.changed_lines(diff).items():
            if is_kernel_code(name):
                text = assemble.git(self.repo, 'show', f'{self.commit}:{name}')
                self.writers.append(mutants.Writer(name, text, lines).read())
        # Those that are not compiled last: they may come and go, and the others keep their numbers.
        self.writers.sort(key=lambda writer: self.reasons.whole_file(writer.name))
        for writer in self.writers:
            self.first[writer.name] = number
            number += len(writer.mutants)
        self.every = [mutant for writer in self.writers for mutant in writer.mutants]
        self.number = {mutant: number for number, mutant in enumerate(self.every, 1)}
        self.digest = self.kernel_digest()
        # What the compilers have refused so far.
        self.refused_file = CACHE / 'mutate' / f'refused-{self.digest}.json'
        self.refused = set()
        if self.refused_file.exists():
            numbers = json.loads(self.refused_file.read_text())
            self.refused = {self.every[number - 1] for number in numbers}

    def kernel_digest(self):
        """Of the code that is broken, and of what breaks it; not of what tests or explains it."""
        content = hashlib.sha256()
        for writer in self.writers:
            # What a header has besides its mutants may matter to everybody.
            if writer.name.endswith('.h') or not self.reasons.whole_file(writer.name):
                starts = [token.start for token in writer.tokens]
                content.update(repr((writer.name, mutants.compiled(writer.source),
                                     [(mutant.function, mutant.what,
                                       bisect.bisect_left(starts, mutant.span[0]))
                                      for mutant in writer.mutants])).encode())
        for path in (ROOT / 'harness' / 'mutants.py', PARTS / 'mutant.h', PARTS / 'mutant.c'):
            content.update(path.read_bytes())
        return content.hexdigest()[:16]

    def write(self):
        """Files keep their times unless they change, so that little is compiled again."""
        if not self.tree.exists() or \
                assemble.git(self.tree, 'rev-parse', 'HEAD').strip() != self.commit:
            assemble.check_out(self.repo, self.tree, self.commit)
        written = {}
        self.places = {}
        for writer in self.writers:
            if self.reasons.whole_file(writer.name) or not writer.mutants:
                continue
            fresh = mutants.Writer(writer.name, writer.source, writer.lines).read(self.refused)
            text, places = fresh.written(self.first[writer.name])
            written[writer.name] = text
            self.places[writer.name] = (text, {fresh.mutants[number]: place
                                               for number, place in places.items()})
        written[HEADER] = (PARTS / 'mutant.h').read_text()
        written[SOURCE] = f'#define NR_MUTANTS {len(self.every) + 1}\n' \
            + (PARTS / 'mutant.c').read_text()
        makefile = str(Path(SOURCE).with_name('Makefile'))
        written[makefile] = assemble.git(self.repo, 'show', f'{self.commit}:{makefile}') \
            + f'obj-y += {Path(SOURCE).stem}.o\n'
        written[KUNIT] = one_case(assemble.git(self.repo, 'show', f'{self.commit}:{KUNIT}'))
        for name in assemble.git(self.tree, 'diff', '--name-only').splitlines():
            if name not in written:
                assemble.git(self.tree, 'checkout', '--quiet', '--', name)
        for name, text in written.items():
            assemble.write_if_changed(self.tree / name, text.encode())
        self.written = hashlib.sha256(repr(sorted(written.items())).encode()).hexdigest()

    def refuse(self, log):
        """Leave out the mutants that a compiler complains of; how many there are."""
        new = set()
        for name, (text, places) in self.places.items():
            new |= blamed(log, name, text, places)
        new -= self.refused
        self.refused |= new
        keep(self.refused_file, json.dumps(sorted(self.number[mutant] for mutant in self.refused)))
        return len(new)


def blamed(log, name, text, places):
    """The mutants of a file that errors are about."""
    starts = [0] + [match.end() for match in re.finditer('\n', text)]
    said = re.compile(rf'^(?:\.\./)*{re.escape(name)}:(\d+):(\d+): (error|note)\b(.*)$', re.M)
    found, explained = {}, True
    for number, match in enumerate(said.finditer(log)):
        # Columns count bytes, and a tab as one.
        at = starts[int(match[1]) - 1] + int(match[2]) - 1
        if match[3] == 'error':
            around = [mutant for mutant, place in places.items() if place[0] <= at < place[1]]
            last, explained = number, False
            found[last] = sorted(around, key=lambda mutant: places[mutant][1] - places[mutant][0])[:1]
        elif not explained and 'in expansion of macro' in match[4]:
            # The first macro is the innermost, whose own words are wrong.
            exact = [mutant for mutant, place in places.items() if place[0] == at]
            if exact:
                found[last], explained = exact, True
    return {mutant for group in found.values() for mutant in group}


class MutatedKernel(build.Kernel):
    """The kernel with all mutants, and files to run suites from."""

    log_name = 'mutate-{kernel.base.name}-{kernel.arch}'

    def __init__(self, mutated, arch):
        super().__init__(mutated.base, arch, source=mutated.tree)
        self.mutated = mutated
        self.flavour = 'mutants'
        self.name = f'Linux {assemble.tree_version(self.source)} with all mutants {arch}'

    def fragment(self):
        return super().fragment() + 'CONFIG_KUNIT_DEBUGFS=y\n'

    def make(self, *arguments):
        # All that is wrong at once.
        return [*super().make('--keep-going'), *arguments]

    def stamp(self):
        return hashlib.sha256((super().stamp() + self.mutated.written).encode()).hexdigest()

    def build(self):
        while True:
            try:
                return super().build()
            except Failure:
                count = self.log.exists() and self.mutated.refuse(self.log.read_text(errors='replace'))
                if not count:
                    raise
                say(f'  {count} mutants do not compile for {self.arch}: once more without them')
                self.mutated.write()

    def pack_tests(self):
        """The ordinary initramfs, and the program that runs mutants."""
        program = self.program('run_mutants', RUNNER)
        return self.pack('mutants', [f'file /tests/run_mutants {program} 0755 0 0'])

    def with_list(self, archive, text, name):
        """The initramfs with something to do."""
        listing = self.dir / f'{name}.list'
        listing.write_text(text)
        spec = self.dir / f'{name}.spec'
        spec.write_text(f'file /mutants.list {listing} 0644 0 0\n')
        target = self.dir / f'{name}.cpio'
        with open(target, 'wb') as output:
            with open(archive, 'rb') as source:
                shutil.copyfileobj(source, output)
            output.flush()
            self.archive(spec, output)
        return target


# Running a machine

def converse(machine, kernel, archive, text, log, silence, hear):
    """Boot a machine with a list, and hand on each line; 'end' if the guest ended by itself."""
    listed = kernel.with_list(archive, text, f'mutants-{log.stem}')
    command = boot.qemu(machine, boot.accelerator(machine, kernel.image), kernel.image, listed,
                        'kunit.autorun=0 oops=panic loglevel=5 -- run_mutants')
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, process_group=0)
    boot.running.add(process)
    rest = b''
    try:
        with selectors.DefaultSelector() as ready, open(log, 'wb') as output:
            ready.register(process.stdout, selectors.EVENT_READ)
            while True:
                left = silence()
                if left <= 0 or not ready.select(left):
                    return 'hangs'
                data = os.read(process.stdout.fileno(), 65536)
                if not data:
                    # QEMU says the same of a guest that panics and of one that powers off.
                    return 'end' if process.wait() == 0 else 'ends QEMU'
                output.write(data)
                output.flush()
                *lines, rest = (rest + data.replace(b'\r', b'')).split(b'\n')
                for line in lines:
                    hear(line.decode(errors='replace'))
    finally:
        end_group(process)
        boot.running.discard(process)
        process.stdout.close()
        listed.unlink(missing_ok=True)


# Without its end a line was cut by the console, which prints it again.
SAID = re.compile(r'\bmutant: (.*) \.$')


class Survey:
    """What the suites of a machine reach, and how long they take, without a mutant."""

    def __init__(self, machine, described, file_of):
        self.machine = machine
        # By number, the file that a mutant is in.
        self.file_of = file_of
        self.times = described['times']
        self.counts = {suite: {int(number): count for number, count in counts.items()}
                       for suite, counts in described['counts'].items()}
        self.unusable = described['unusable']
        self.expected = described['expected']

    def reaching(self, number, known=()):
        """The suites that get to a mutant, those first that are quick and about its file.

        Not those that do the same as on a machine where they noticed nothing.
        """
        found = [suite for suite, counts in self.counts.items()
                 if number in counts and suite not in self.unusable]
        found.sort(key=lambda suite: (self.times[suite] + 20)
                   / self.share(suite, self.file_of(number)) ** 2)
        return [suite for suite in found
                if (suite, self.way(suite)) not in known][:TRIES]

    @functools.cache
    def way(self, suite):
        """Stands for all that a suite gets to, and how often: other machines skip other cases."""
        counts = sorted(self.counts[suite].items())
        return hashlib.sha256(repr(counts).encode()).hexdigest()[:12]

    @functools.cache
    def share(self, suite, name):
        """How much of what a suite gets to is in a file."""
        counts = self.counts[suite]
        return sum(self.file_of(number) == name for number in counts) / len(counts)

    def ways(self, suites):
        return {suite: self.way(suite) for suite in suites}

    def limit(self, number):
        most = max(counts.get(number, 0) for counts in self.counts.values())
        return max(LEAST_LIMIT, MORE_OFTEN * most)

    def silence(self, suite):
        return SILENCE + SLOWER * self.times.get(suite, 0) / 1000

    def splat(self, suite, lines):
        """What the log says that it does not say without a mutant."""
        return splats(lines, self.expected.get(suite, []))


def with_cuts(lines):
    """Say where each WARN begins: some kernels do that at a level that is not printed here.

    What comes right before it may be its message, so it is taken to be, but for the end of
    another one.
    """
    found = []
    for line in lines:
        if WARNED.search(line) and not any(CUT in earlier for earlier in found[-2:]):
            alone = not found or 'end trace' in found[-1]
            found.insert(len(found) if alone else len(found) - 1, CUT)
        found.append(line)
    return found


def splats(lines, expected):
    """The first warning that is not expected, or expected one that did not come."""
    results = [report.Result(suite, case, 'passed', '') for suite, case in expected]
    return next(iter(report.scan(with_cuts(boot.without_replays(lines)), results)), None)


def expected_of(suite, lines):
    """The warnings that have come of those which some case of the suite is to bring about.

    What comes once per boot comes with each case here.
    """
    return [[entry['suite'], entry['case']] for entry in report.expected_splats()
            if entry['suite'] == suite.partition('.')[0]
            and any(re.search(entry['pattern'], line) for line in lines)]


def make_survey(machine, kernel, archive, suites, log):
    """Run all suites without a mutant, and see what they do."""
    described = {'times': {}, 'passed': {}, 'counts': {}, 'unusable': {}, 'expected': {}}
    lines, state = [], {'silence': BOOT_SILENCE, 'done': False}

    def hear(line):
        said = SAID.search(line)
        if not said:
            lines.append(line)
            return
        word, *words = said[1].split()
        if word == 'survey' and words[0] != 'done':
            lines.clear()
        elif word == 'surveyed':
            suite, taken, passed, status, *how = words
            if int(passed) != described['passed'].setdefault(suite, int(passed)):
                described['unusable'][suite] = f'{passed} cases pass, and not ' \
                    f'{described["passed"][suite]} as before'
            described['times'][suite] = max(int(taken), described['times'].get(suite, 0))
            described['expected'][suite] = expected_of(suite, lines)
            wrong = splats(lines, described['expected'][suite])
            if status != 'passed' or wrong:
                described['unusable'][suite] = ' '.join(how) or wrong
        elif word == 'reached':
            counts = described['counts'].setdefault(words[0], {})
            for number, count in (word.split(':') for word in words[1:]):
                counts[int(number)] = max(int(count), counts.get(int(number), 0))
        elif word == 'ended':
            state['done'] = True
    # Selftests are known to repeat, and take long.
    order = suites if suites[0].startswith('/') else [*suites, *suites]
    ended = converse(machine, kernel, archive, ''.join(f'survey {suite}\n' for suite in order), log,
                     lambda: state['silence'], hear)
    if not state['done']:
        raise Failure(f'{machine.name} did not get through its suites without a mutant ({ended}); '
                      f'see {log}')
    return described


def judges(machine):
    """What decides whether a machine shows that something is wrong."""
    return ''.join(path.read_text() for path in (
        ROOT / 'machines' / f'{machine}.toml', report.EXPECTED_SPLATS, Path(report.__file__),
        Path(outcomes.__file__)))


def survey(machine, kernel, archive, suites, file_of):
    log = CACHE / 'log' / f'survey-{kernel.base.name}-{machine.name}.log'
    key = hashlib.sha256(repr((kernel.stamp(), machine.name, suites, judges(machine.name),
                               build.program_text(RUNNER))).encode()).hexdigest()[:16]
    kept = CACHE / 'mutate' / f'survey-{machine.name}-{key}.json'
    if not kept.exists():
        say(f'  {machine.name}: all suites without a mutant')
        keep(kept, json.dumps(make_survey(machine, kernel, archive, suites, log)))
    found = Survey(machine, json.loads(kept.read_text()), file_of)
    for suite, why in found.unusable.items():
        say(f'  {machine.name}: {suite} does not pass twice without a mutant, so it judges none: {why}')
    return found


class Verdicts:
    """What became of each mutant on each machine, kept for the next time."""

    def __init__(self, mutated):
        self.mutated = mutated
        self.killed, self.survived = {}, collections.defaultdict(dict)
        self.kept = 0
        self.lock = threading.Lock()
        self.tests = self.test_digests()
        runner = hashlib.sha256(build.program_text(RUNNER).encode()).hexdigest()[:8]
        self.path = CACHE / 'mutate' / f'verdicts-{mutated.digest}-{runner}.jsonl'
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                self.take(json.loads(line))

    def test_digests(self):
        """Of each suite with what all of them use, and of everything."""
        base = self.mutated.base
        shared, own = hashlib.sha256(), {}
        for name in base.new_files():
            data = (ROOT / name).read_bytes()
            suite = re.search(rb'struct kunit_suite \w+ = \{\s*\.name = "([^"]+)"', data)
            if name.endswith('_kunit.c') and suite:
                own[suite[1].decode()] = data
            elif not is_kernel_code(name) and name.endswith(('.c', '.h')):
                shared.update(data)
        found = {}
        for suite, data in own.items():
            digest = shared.copy()
            digest.update(data)
            found[suite] = digest.hexdigest()[:12]
        for data in own.values():
            shared.update(data)
        found['*'] = shared.hexdigest()[:12]
        return found

    @functools.cache
    def conditions(self, machine):
        """Stands for what decides about a verdict besides the code and the tests."""
        kernel = MutatedKernel(self.mutated, Machine(machine).arch)
        content = hashlib.sha256((kernel.fragment() + judges(machine)).encode())
        return content.hexdigest()[:12]

    def of_suite(self, suite):
        return self.tests.get(suite.partition('.')[0], self.tests['*'])

    def take(self, entry):
        if entry['machine'] not in machine_names() \
                or entry['conditions'] != self.conditions(entry['machine']):
            return
        mutant = self.mutated.every[entry['number'] - 1]
        if entry['killed']:
            if entry['tests'] == self.of_suite(entry['suite']) \
                    and not self.is_doubtful(entry['number'], entry.get('first')):
                self.killed[mutant] = Killed(entry['machine'], entry['suite'], entry['how'])
        elif entry['tests'] == self.tests['*']:
            self.survived[mutant].setdefault((entry['machine'], entry['programs']), {}).update(
                entry['suites'])

    def keep(self, entry):
        with self.lock:
            self.take(entry)
            self.kept += 1
            with open(self.path, 'a') as kept:
                kept.write(json.dumps(entry) + '\n')

    def known(self, number):
        """The suites that did not notice a mutant, each with what it did."""
        return {pair for ways in self.survived.get(self.mutated.every[number - 1], {}).values()
                for pair in ways.items()}

    def is_doubtful(self, number, first):
        """Whether a reason says that no test notices, and one before it may be what one did."""
        return not first and self.mutated.reasons.is_listed(self.mutated.every[number - 1])

    def kill(self, number, machine, suite, how, first):
        self.keep({'number': number, 'killed': True, 'machine': machine.name, 'suite': suite,
                   'how': how, 'tests': self.of_suite(suite), 'first': first,
                   'conditions': self.conditions(machine.name)})

    def survive(self, number, machine, suites, programs):
        self.keep({'number': number, 'killed': False, 'machine': machine.name, 'suites': suites,
                   'programs': programs, 'tests': self.tests['*'],
                   'conditions': self.conditions(machine.name)})


class Hunt:
    """Some mutants on one machine, in as many boots as it takes."""

    def __init__(self, found, kernel, archive, verdicts, programs):
        self.survey = found
        self.machine = found.machine
        self.kernel = kernel
        self.archive = archive
        self.verdicts = verdicts
        self.programs = programs
        self.queue = collections.deque()
        # When a boot ends: it may leave mutants to others, who wait for that.
        self.changed = threading.Condition()
        self.workers = 1
        self.boots = self.running = 0
        # Mutants and suites with which a machine has stopped to say anything once.
        self.suspects = set()
        self.stopped = False

    def next_chunk(self):
        """Mutants for one boot. What others may have left something for is the first in its own."""
        chunk = []
        size = max(AT_LEAST, min(AT_ONCE, len(self.queue) // (2 * self.workers)))
        while self.queue and len(chunk) < size and not (chunk and self.queue[0][1] < CHECK):
            chunk.append(self.queue.popleft())
        return chunk

    def work(self):
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.queue or not self.running or self.stopped)
                if not self.queue or self.stopped:
                    return
                chunk = self.next_chunk()
                self.boots += 1
                self.running += 1
                log = CACHE / 'log' / (f'mutate-{self.kernel.base.name}-{self.machine.name}-'
                                       f'{self.boots:03d}.log')
            left = []
            try:
                left = Chunk(self, chunk).run(log)
            finally:
                with self.changed:
                    self.queue.extendleft(reversed(left))
                    self.running -= 1
                    self.changed.notify_all()

    def group(self, number):
        """The function of a mutant: what notices one of it may well notice others."""
        mutant = self.verdicts.mutated.every[number - 1]
        return f'{mutant.file}:{mutant.function}'

    def run(self, numbers, workers):
        self.queue.extend((number, CHECK) for number in numbers)
        self.workers = workers
        with ThreadPoolExecutor(workers) as pool:
            futures = [pool.submit(self.work) for _ in range(workers)]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:
                self.stop(futures)
                raise

    def stop(self, futures):
        """End what is under way: nothing that happens to it is a verdict."""
        with self.changed:
            self.stopped = True
            self.queue.clear()
            self.changed.notify_all()
        while wait(futures, 0.2).not_done:
            boot.end_all()


class Chunk:
    """Mutants for one boot."""

    def __init__(self, hunt, chunk):
        self.hunt = hunt
        self.waiting = collections.OrderedDict(chunk)
        self.first = chunk[0][0]
        self.suites = {number: hunt.survey.reaching(number, hunt.verdicts.known(number))
                       for number in self.waiting}
        self.current = None
        self.lines = []
        # Kills that count once the suites have passed again, and those that never do.
        self.noticed, self.doubtful = {}, []
        self.be_patient(BOOT_SILENCE)
        self.ended = self.dirty = False

    def run(self, log):
        """What is left for another boot."""
        text, group = '', None
        for number, check in self.waiting.items():
            if self.hunt.group(number) != group:
                group = self.hunt.group(number)
                text += f'group {group}\n'
            text += f'mutant {number} {self.hunt.survey.limit(number)} {check} ' \
                f'{" ".join(self.suites[number])}\n'
        how = converse(self.hunt.machine, self.hunt.kernel, self.hunt.archive, text, log,
                       self.patience, self.hear)
        if self.hunt.stopped:
            return []
        if self.ended:
            return [(number, 1) for number in self.doubtful]
        again = list(self.noticed)
        if self.current and not self.dirty:
            number, suite = self.current
            # What keeps the host busy, or ends QEMU, need not be the mutant.
            if how != 'end' and self.current not in self.hunt.suspects:
                self.hunt.suspects.add(self.current)
                again.append(number)
            elif not again:
                self.kill(number, suite, self.last_words(how))
            else:
                again.append(number)
            self.waiting.pop(number, None)
        elif again == [self.first]:
            # Nothing was before this one, which has left behind what failed or hung then.
            (number, (suite, why)), = self.noticed.items()
            self.kill(number, suite, why)
            again = []
        elif not self.current and not self.noticed and len(self.waiting) == len(self.suites):
            raise Failure(f'{self.hunt.machine.name} did not begin ({how}); see {log}')
        return [(number, 1) for number in again + self.doubtful] + list(self.waiting.items())

    def be_patient(self, seconds):
        """Without a word for so long, and with endless words for three times as long."""
        self.quiet = seconds
        self.until = time.monotonic() + 3 * seconds

    def patience(self):
        return min(self.quiet, self.until - time.monotonic())

    def last_words(self, how):
        if how != 'end':
            return how
        telling = list(filter(report.is_splat, self.lines)) or self.lines[-1:] \
            or ['ends the machine']
        return re.sub(r'^\[ *[\d.]+\] *', '', telling[0]).strip()[:100]

    def kill(self, number, suite, how):
        first = number == self.first
        if self.hunt.verdicts.is_doubtful(number, first):
            self.doubtful.append(number)
        else:
            self.hunt.verdicts.kill(number, self.hunt.machine, suite, how, first)

    def hear(self, line):
        said = SAID.search(line)
        if not said:
            self.lines.append(line)
            return
        word, *words = said[1].split(' ')
        survey = self.hunt.survey
        if word == 'run':
            self.current = (int(words[0]), words[1])
            self.be_patient(survey.silence(words[1]))
            self.lines = []
        elif word in ('passed', 'killed'):
            number, suite = int(words[0]), words[1]
            why = ' '.join(words[3:]) if word == 'killed' else \
                survey.splat(suite, self.lines) or self.wrong_outcome(suite)
            if why and number in self.waiting:
                # The machine knows of no warning, so it will not look whether it is clean.
                if self.waiting.pop(number) == 1 and word == 'passed' and not self.noticed:
                    self.kill(number, suite, why)
                else:
                    self.noticed[number] = (suite, why)
            self.current = None
        elif word == 'survived':
            number = int(words[0])
            if number in self.waiting:
                self.waiting.pop(number)
                self.hunt.verdicts.survive(number, self.hunt.machine,
                                           survey.ways(self.suites[number]),
                                           self.hunt.programs)
        elif word == 'check':
            self.be_patient(survey.silence(words[0]))
        elif word == 'dirty':
            self.dirty = True
        elif word in ('clean', 'ended') and not self.dirty:
            for number, (suite, why) in self.noticed.items():
                self.kill(number, suite, why)
            self.noticed = {}
            self.ended = word == 'ended'

    def wrong_outcome(self, suite):
        if not suite.startswith('/'):
            return None
        found = outcomes.wrong(self.hunt.machine, report.outcomes(boot.without_replays(self.lines)),
                               complete=False)
        return found[0] if found else None


# All of it

class Run:
    """All mutants of a series, as far as FILE= and MACHINE= do not leave them out."""

    def __init__(self, base):
        self.base = base
        self.mutated = Mutated(base)
        pattern = os.environ.get('FILE')
        self.chosen = [mutant for mutant in self.mutated.every
                       if not pattern or fnmatch.fnmatch(mutant.file, pattern)
                       or mutant.file.startswith(pattern.rstrip('/') + '/')]
        if not self.chosen:
            known = ', '.join(writer.name for writer in self.mutated.writers if writer.mutants)
            raise Failure(f'FILE={pattern} names no file with a mutant: choose one of {known}')
        names = {machine.name for machine in machines()}
        order = [*ORDER, *(name for name in machine_names() if name not in ORDER)]
        self.machines = [Machine(name) for name in order if name in names]
        self.surveys = {}
        self.narrowed = bool(pattern) or len(self.machines) < len(default_machine_names())

    def left(self):
        return [mutant for mutant in self.chosen if mutant not in self.verdicts.killed
                and mutant not in self.mutated.refused
                and not self.mutated.reasons.whole_file(mutant.file)]

    def prepare(self):
        self.mutated.write()
        # Now, since the files that they go by may change during the run.
        self.verdicts = Verdicts(self.mutated)
        for machine in self.machines:
            self.verdicts.conditions(machine.name)
        self.kernels, self.archives = {}, {}
        for arch in dict.fromkeys(machine.arch for machine in self.machines):
            kernel = MutatedKernel(self.mutated, arch).build()
            self.kernels[arch] = kernel
        for arch, kernel in self.kernels.items():
            # Another architecture may have left out some more.
            kernel.build()
            self.archives[arch] = kernel.pack_tests()
            first = next(machine for machine in self.machines if machine.arch == arch)
            boot.accelerator(first, kernel.image)

    def suites(self, arch, programs):
        expectation = report.Expectation(self.base, arch=arch)
        if programs:
            return [f'/tests/{name}:-t:{case}' for name, cases in sorted(expectation.programs.items())
                    for case in sorted(cases)]
        return [f'{suite}.{case}' for suite, cases in expectation.suites.items()
                for case in sorted(cases)]

    def run(self):
        suites.prepare(self.machines)
        self.prepare()
        # Selftests take long, so they get only what no suite has noticed.
        for programs in (False, True):
            if not self.left():
                break
            for machine, found in zip(self.machines, boot.some_at_a_time(
                    lambda machine, programs=programs: self.survey(machine, programs),
                    self.machines)):
                self.surveys[machine.name, programs] = found
            # What selftests alone notice is mostly what becomes of a bounce buffer.
            for machine in sorted(self.machines, key=lambda machine:
                                  programs and not machine.name.endswith('-swiotlb')):
                self.hunt(machine, programs)
        return self.conclude()

    def survey(self, machine, programs):
        return survey(machine, self.kernels[machine.arch], self.archives[machine.arch],
                      self.suites(machine.arch, programs),
                      lambda number: self.mutated.every[number - 1].file)

    def hunt(self, machine, programs):
        found = self.surveys[machine.name, programs]
        hunt = Hunt(found, self.kernels[machine.arch], self.archives[machine.arch], self.verdicts,
                    programs)
        start = time.monotonic()
        before = len(self.verdicts.killed)
        todo = everything = self.reachable(found)
        while todo:
            kept = self.verdicts.kept
            hunt.run(todo, boot.at_a_time())
            if self.verdicts.kept == kept:
                raise Failure(f'{machine.name} said nothing of {len(todo)} mutants; see the logs')
            # Those that nothing has noticed so far are for the cases that are left.
            todo = self.reachable(found)
        what = 'selftests' if programs else 'suites'
        if everything:
            say(f'  {machine.name}: {len(self.verdicts.killed) - before} of {len(everything)} mutants '
                f'that its {what} reach are killed, in {hunt.boots} boots and '
                f'{time.monotonic() - start:.0f} s')

    def reachable(self, found):
        """The mutants that some case of a machine gets to that has not tried them yet."""
        return [number for number in map(self.mutated.number.get, self.left())
                if found.reaching(number, self.verdicts.known(number))]

    def reached(self, mutant):
        number = self.mutated.number[mutant]
        return any(number in counts for found in self.surveys.values()
                   for counts in found.counts.values())

    def conclude(self):
        """Sort all mutants into what became of them."""
        reasons, killed = self.mutated.reasons, self.verdicts.killed
        groups = {name: [] for name in ('killed', 'equivalent', 'elsewhere', 'refused', 'unreached',
                                        'survived')}
        for mutant in self.chosen:
            if mutant in self.mutated.refused:
                group = 'refused'
            elif mutant in killed:
                group = 'killed'
            elif reasons.is_listed(mutant):
                group = 'equivalent'
            elif any(reasons.is_elsewhere(entry, mutant) for entry in reasons.elsewhere):
                group = 'elsewhere'
            else:
                group = 'survived' if self.reached(mutant) else 'unreached'
            groups[group].append(mutant)
        problems = [f'{writer.name}:{line}: {in_words(function)}: not understood, so not mutated: {words}'
                    for writer in self.mutated.writers
                    for line, function, words, _ in writer.unparsed]
        if not self.narrowed:
            problems += reasons.out_of_date(self.mutated.every, killed,
                                            {mutant for mutant in self.mutated.every
                                             if self.reached(mutant)})
        if not self.narrowed and not killed:
            problems.append('no mutant was killed')
        return Conclusion(self.base, groups, problems, self.verdicts)


class Conclusion:
    def __init__(self, base, groups, problems, verdicts):
        self.base = base
        self.groups = groups
        self.problems = problems
        self.verdicts = verdicts
        self.good = not (groups['survived'] or groups['unreached'] or problems)

    def sentence(self):
        count = {name: len(found) for name, found in self.groups.items()}
        text = f'{sum(count.values())} mutants: {count["killed"]} killed'
        for name, words in (('equivalent', 'equivalent, for a reason that is given'),
                            ('elsewhere', 'in code that no machine here runs'),
                            ('refused', 'that do not compile')):
            if count[name]:
                text += f', {count[name]} {words}'
        return text + f', {count["survived"]} survived, {count["unreached"]} not reached by any test'

    def show(self):
        say('')
        for name, words in (('survived', 'SURVIVED'), ('unreached', 'NOT REACHED')):
            for mutant in self.groups[name]:
                where = ', '.join(dict.fromkeys(machine for machine, _ in
                                                self.verdicts.survived.get(mutant, {})))
                say(f'{words} {name_of(mutant)}' + (f' [{where}]' if where else ''))
        for problem in self.problems:
            say(problem)
        table = CACHE / 'mutate' / f'mutants-{self.base.name}.txt'
        with open(table, 'w') as output:
            for name, found in self.groups.items():
                for mutant in found:
                    detail = self.verdicts.killed.get(mutant, '') if name == 'killed' else ''
                    output.write(f'{name}: {name_of(mutant)}'
                                 + (f' <- {detail.machine} {detail.suite}: {detail.how}' if detail
                                    else '') + '\n')
        say(f'Linux {self.base.version}: {self.sentence()}. All of them are in {table}.')


def mutate(base):
    say(f'Linux {base.version}: mutants of what the series changes')
    conclusion = Run(base).run()
    conclusion.show()
    return conclusion


def result(base):
    """One sentence for the record; Failure if there is none to be proud of."""
    conclusion = mutate(base)
    if not conclusion.good:
        raise Failure(f'Linux {base.version}: {conclusion.sentence()}')
    return conclusion.sentence()


def command():
    packages.for_arch(*{machine.arch for machine in machines()})
    with cache_lock():
        good = [mutate(base).good for base in assemble.chosen_bases()]
    return not all(good)


if __name__ == '__main__':
    main(command, *sys.argv[1:])
