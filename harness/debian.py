# SPDX-License-Identifier: GPL-2.0
"""Take the series into the kernels of distributions: Debian's package, and an rpm."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import assemble, build, fetch, mails, mutate, packages, report, suites
from harness.assemble import files_of, git
from harness.project import (CACHE, Base, Failure, Machine, cache_lock, main, output_of, relative,
                             run, say)

# Where the patches go in Debian's package.
FOLDER = 'features/all/dma-coherent'
MACHINE = 'x86_64-direct'


# The patches, in Debian's own package

def packaging(base):
    """What Debian packages this kernel with, as far as its archive still has it."""
    reasons = []
    for source in base.packaging:
        try:
            return fetch.package(source), source
        except Failure as reason:
            reasons.append(str(reason))
    raise Failure(f'what Debian packages Linux {base.version} with cannot be had: '
                  + '; '.join(reasons))


def add_to_package(packaged, patches):
    """What the maintainer of the package does: copy the patches, and append them to the list."""
    folder = packaged / 'patches' / FOLDER
    folder.mkdir(parents=True)
    for patch in patches:
        shutil.copy(patch, folder)
    with open(packaged / 'patches' / 'series', 'a') as series:
        series.write('\n# DMA_ATTR_REQUIRE_COHERENT and dma-bufs that can be taken back\n')
        series.writelines(f'{FOLDER}/{patch.name}\n' for patch in patches)


def quilt(tree, *arguments):
    environment = {**os.environ, 'QUILT_PATCHES': str(tree / 'debian' / 'patches'),
                   'QUILT_PC': '.pc', 'LC_ALL': 'C'}
    return subprocess.run(['quilt', *arguments[:1], '--quiltrc', '-', *arguments[1:]], cwd=tree,
                          env=environment, capture_output=True, text=True)


def listed(tree, which):
    """The patches that are applied, or are not."""
    return quilt(tree, which).stdout.replace('debian/patches/', '').split()


def push_all(tree, may_leave_out=lambda patch: False):
    """Apply all patches as debian/rules does, without fuzz; those that had to be left out."""
    left_out = []
    while True:
        pushed = quilt(tree, 'push', '-a', '-q', '--fuzz=0')
        rest = listed(tree, 'unapplied')
        if not rest:
            # It also ends with an error if there was nothing more to do.
            return left_out
        if not may_leave_out(rest[0]):
            words = [line for line in (pushed.stdout + pushed.stderr).splitlines()
                     if re.search(r'FAILED|malformed|patching file|No file|exists', line)]
            raise Failure(f'{rest[0]} does not apply on top of Debian\'s patches'
                          + (f': {words[-1].strip()}' if words else ''))
        left_out.append(rest[0])
        if quilt(tree, 'delete', '-n').returncode:
            raise Failure(f'quilt cannot leave out {rest[0]}')


def drop_in(tree, archive, patches, stands_in):
    """Put the patches into Debian's package and apply it all; what there is of Debian's."""
    for name in ('debian', '.pc'):
        shutil.rmtree(tree / name, ignore_errors=True)
    fetch.unpack_tar(archive, tree / 'debian')
    add_to_package(tree / 'debian', patches)
    known = [name for name in listed(tree, 'series') if not name.startswith(FOLDER)]
    both = files_of(patches) & files_of(tree / 'debian' / 'patches' / name for name in known)
    left_out = push_all(tree, lambda patch: stands_in and patch in known)
    applied = listed(tree, 'applied')
    ours = [f'{FOLDER}/{patch.name}' for patch in patches]
    if applied[-len(ours):] != ours:
        raise Failure(f'{tree}: quilt has not applied the patches of the series')
    return known, left_out, sorted(both)


def describe(base, source, patches, known, left_out, both):
    """What was put on top of what, as a sentence or three."""
    text = (f'The {len(patches)} patches of the series apply without fuzz in Debian\'s package '
            f'{source["package"]}, on top of its {len(known) - len(left_out)} patches')
    if source.get('stands_in'):
        text += (f' that also apply to Linux {base.version}, for which that package stands in; '
                 f'{len(left_out)} more do not')
    return text + '. ' + (f'Both change {", ".join(both)}.' if both else
                          f'None of all {len(known)} changes a file that the series changes.')


def of_series(repo, base, scratch):
    """The patches that make series writes."""
    commit = assemble.assembled_commit(repo, base)
    return mails.format_patches(repo, commit, scratch / 'out', assemble.IDENTITY)[1]


def packaged_commit(base, repo):
    """A commit with Debian's patches and the series; its message says what they are."""
    archive, source = packaging(base)
    key = hashlib.sha256(f'{base.digest()} {source["sha256"]} {FOLDER}'.encode()).hexdigest()[:16]
    tree = CACHE / 'debian' / repo.name

    def make():
        assemble.check_out(repo, tree, git(repo, 'rev-parse', 'base').strip())
        # New files of patches whose run was interrupted; not what was built before.
        git(tree, 'clean', '-ffdxq', '--exclude=/build-*', '--exclude=/linux-*.deb')
        with tempfile.TemporaryDirectory() as scratch:
            patches = of_series(repo, base, Path(scratch))
            text = describe(base, source, patches, *drop_in(
                tree, archive, patches, source.get('stands_in', False)))
            names = sorted(set(quilt(tree, 'files', '-a').stdout.split()))
        for name in ('debian', '.pc'):
            shutil.rmtree(tree / name)
        git(tree, 'add', '--all', '--force', '--', *names)
        git(tree, 'commit', '--quiet', '--message', text)
        return git(tree, 'rev-parse', 'HEAD').strip()
    return assemble.kept_commit(repo, f'refs/debian/{key}', make)


def tree_for_debian(base):
    """A tree with Debian's patches and the series, and how it came about."""
    repo = assemble.stock(base)
    if base.packaging:
        commit = packaged_commit(base, repo)
        text = git(repo, 'show', '--no-patch', '--format=%B', commit).strip()
    elif base.sources[0]['kind'] == 'debian-binary':
        commit = assemble.assembled_commit(repo, base)
        text = (f'The {len(base.series())} patches of the series apply without fuzz to Debian\'s '
                f'{base.sources[0]["package"]}, which has Debian\'s patches.')
    else:
        raise Failure(f'series/{base.name}/base.toml names nothing of Debian')
    return assemble.check_out(repo, CACHE / 'debian' / repo.name, commit), ' '.join(text.split())


# A package of the kernel

class Packaged(build.Kernel):
    """A kernel that comes out of a package, made by the kernel's own make bindeb-pkg."""

    log_name = 'package-{kernel.base.name}'

    def __init__(self, base, tree):
        super().__init__(base, 'x86_64', source=tree)
        self.flavour = 'package'
        self.name = f'package of Linux {assemble.tree_version(tree)} {self.arch}'
        self.dir = tree / 'build-x86_64-package'
        self.unpacked = self.dir / 'unpacked'

    @property
    def image(self):
        return self.unpacked / 'vmlinuz'

    def make(self, *arguments):
        return [*super().make(*arguments), 'LOCALVERSION=-dma-coherent']

    def package(self):
        """What dpkg-buildpackage has put next to the directory that it worked in."""
        found = [path for path in self.source.glob('linux-image-*.deb')
                 if '-dbg_' not in path.name]
        if len(found) != 1:
            raise Failure(f'make bindeb-pkg made {len(found)} kernel packages; see {self.log}')
        return found[0]

    def build(self):
        stamp_file, stamp = self.dir / 'built', self.stamp()
        if not stamp_file.exists() or stamp_file.read_text() != self.built(stamp):
            stamp_file.unlink(missing_ok=True)
            for old in self.source.glob('linux-*.deb'):
                old.unlink()
            self.configure()
            # Nobody installs it, so it need not be small.
            run(self.make('bindeb-pkg', 'KDEB_COMPRESS=gzip'), self.log,
                f'make bindeb-pkg for {self.name}', env=self.environment())
            shutil.rmtree(self.unpacked, ignore_errors=True)
            output_of(['dpkg-deb', '--extract', str(self.package()), str(self.unpacked)])
            images = sorted((self.unpacked / 'boot').glob('vmlinuz-*'))
            if len(images) != 1:
                raise Failure(f'{self.package().name} holds {len(images)} kernels')
            images[0].rename(self.image)
            stamp_file.write_text(self.built(stamp))
        return self


def statuses(found):
    return {(result.suite, result.case): result.status for result in found.results}


def compare_boots(plain, packaged):
    """What is wrong with the packaged kernel, or not as with the plain one."""
    before, after = statuses(plain), statuses(packaged)
    return packaged.failures() or [
        f'{".".join(case)} {after.get(case, "did not run")} in the package, and {status} in the '
        f'kernel that make test boots'
        for case, status in before.items() if after.get(case) != status]


def boot_package(base, kernel):
    """The tests in the packaged kernel do what they do in the one of make test."""
    machine = Machine(MACHINE)
    judged = (kernel.stamp(), mutate.judges(MACHINE), build.program_text(build.INIT))
    proof = CACHE / 'applies' / f'package-{hashlib.sha256(repr(judged).encode()).hexdigest()[:16]}'
    if not proof.exists():
        plain = build.Kernel(base, machine.arch).build()
        expectation = report.Expectation(base, arch=machine.arch)
        found = list(suites.boot_all([(each, machine, expectation) for each in (plain, kernel)]))
        problems = compare_boots(*found)
        if problems:
            raise Failure('\n'.join(problems))
        status = list(statuses(found[1]).values())
        proof.parent.mkdir(parents=True, exist_ok=True)
        proof.write_text(f'{status.count("passed")} cases pass and {status.count("skipped")} are '
                         f'skipped, as with the kernel of make test')
    return (f'A package made by "make bindeb-pkg" ({kernel.package().name}) boots on {MACHINE}: '
            f'{proof.read_text()}.')


# An rpm

SPEC = '''Name: kernel
Version: {version}
Release: 1
Summary: The Linux kernel, with the series
License: GPL-2.0
Source0: linux.tar
{patches}
%description
Only its sources are prepared.
%prep
%autosetup -n linux -p1 -S {how}
'''


def spec(version, patches, how):
    return SPEC.format(version=version, how=how, patches=''.join(
        f'Patch{number}: {patch.name}\n' for number, patch in enumerate(patches, 1)))


def differs(repo, commit, names, directory, scratch):
    """Of the named files those that are not in a directory as in a commit, and what else is."""
    options = {'environment': {'GIT_INDEX_FILE': str(scratch / 'index')}}
    there = ('--work-tree', str(directory))
    git(repo, 'read-tree', commit, **options)
    # Without this, all that it has not seen before differs; and if any does, it fails.
    subprocess.run(['git', '-c', 'safe.directory=*', '-C', str(repo), *there, 'update-index', '-q',
                    '--refresh'], env={**os.environ, **options['environment']}, capture_output=True)
    return git(repo, *there, 'diff-files', '--name-only', '--', *names, **options).splitlines() \
        + git(repo, *there, 'ls-files', '--others', **options).splitlines()


def prepare_rpm(repo, base, how, scratch, patches):
    """Let rpmbuild prepare the sources, as in a kernel.spec, and look at what it made."""
    top = scratch / how
    (top / 'SOURCES').mkdir(parents=True)
    names = assemble.touched_files(base)
    # Nothing else of the kernel has to do with it, and unpacking it takes much longer.
    there = git(repo, 'ls-tree', '-r', '--name-only', 'base', '--', *names).splitlines()
    git(repo, 'archive', '--prefix=linux/', f'--output={top}/SOURCES/linux.tar', 'base', '--',
        *there)
    for patch in patches:
        shutil.copy(patch, top / 'SOURCES')
    (top / 'kernel.spec').write_text(spec(assemble.tree_version(repo), patches, how))
    log = CACHE / 'log' / f'rpm-{base.name}-{how}.log'
    run(['rpmbuild', '-bp', '--nodeps', '--define', f'_topdir {top}',
         '--define', '_default_patch_fuzz 0', str(top / 'kernel.spec')],
        log, f'rpmbuild -bp with -S {how}')
    # Newer ones make a directory for each package.
    found = [path for pattern in ('linux', '*/linux') for path in (top / 'BUILD').glob(pattern)]
    if len(found) != 1:
        raise Failure(f'rpmbuild made {len(found)} kernel trees; see {relative(log)}')
    other = differs(repo, assemble.assembled_commit(repo, base), names + base.new_files(),
                    found[0], top)
    if other:
        raise Failure(f'%autosetup -S {how} makes another kernel of the patches: '
                      f'{other[0]} differs')


def check_rpm(base):
    """The patches are what %autosetup makes of them."""
    repo = assemble.stock(base)
    ways = ('git_am', 'patch')
    proof = CACHE / 'applies' / f'rpm-{base.digest()}-{"-".join(ways)}'
    if not proof.exists():
        with tempfile.TemporaryDirectory() as scratch:
            patches = of_series(repo, base, Path(scratch))
            for how in ways:
                prepare_rpm(repo, base, how, Path(scratch), patches)
        proof.parent.mkdir(parents=True, exist_ok=True)
        proof.touch()
    return (f'With the {len(base.series())} patches in a spec, %autosetup of rpmbuild makes the '
            f'very files of the series, with -S {" and -S ".join(ways)}, without fuzz.')


def everything(base):
    """Sentences that say what has been tried and seen."""
    tree, text = tree_for_debian(base)
    kernel = Packaged(base, tree).build()
    return [text, boot_package(base, kernel), check_rpm(base)]


def result(base):
    """The same for the record."""
    return ' '.join(everything(base))


STEPS = {
    'patches': lambda base: [tree_for_debian(base)[1]],
    'package': lambda base: [str(Packaged(base, tree_for_debian(base)[0]).build().package())],
    'rpm': lambda base: [check_rpm(base)],
    'all': everything,
}


def command(name, step='all'):
    if step not in STEPS:
        raise Failure(f'unknown step {step}: choose one of {", ".join(STEPS)}')
    packages.ensure(packages.DISTRIBUTIONS)
    packages.for_arch('x86_64')
    with cache_lock():
        for line in STEPS[step](Base(name)):
            say(line)


if __name__ == '__main__':
    main(command, *sys.argv[1:])
