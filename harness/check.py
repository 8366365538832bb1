# SPDX-License-Identifier: GPL-2.0
"""Every static rule: layout, patches, other kernels, checkpatch, documents, compilers."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from harness import (analysers, assemble, bench, bisect, coccinelle, compilers, fetch, mails,
                     neighbours, packages, proof, readme, report, sets)
from harness.project import (CACHE, ROOT, Base, Failure, asked, base_names, cache_lock, main,
                             relative, run, say)

# Files of the project itself; everything else stands where it does in a kernel.
PROJECT = re.compile(r'(?:series|machines|harness|\.ci)/|'
                     r'(?:README\.md|Makefile|COPYING|\.gitignore)$')

# There is no sender yet, an imported tree has no history to look commits up in, the
# other DMA_ATTR_* do not use BIT(), the other stubs of dma-mapping.h stand close
# together, nobody is asked to maintain new directories, and of one source for several
# kernels some do not have kzalloc_obj().
CHECKPATCH = ['--strict', '--no-tree', '--quiet', '--no-summary', '--terse', '--showfile',
              '--ignore', 'FILE_PATH_CHANGES,NO_AUTHOR_SIGN_OFF,MISSING_SIGN_OFF,'
              'UNKNOWN_COMMIT_ID,BIT_MACRO,LINE_SPACING,ALLOC_WITH_SIZEOF']


def kernel_files(root=ROOT):
    """The files of this repository that belong into a kernel tree."""
    return sorted(name for name in analysers.project_files(root) if not PROJECT.match(name))


def check_layout(all_bases, root=ROOT):
    """Each of our files belongs to one patch of every base that uses it, and to some base."""
    problems = []
    used = set()
    for base in all_bases:
        names = mails.names(base)
        problems += [f'{base.name}: base.toml says that {entry["patch"]} may not be needed, which '
                     f'is no patch of the series'
                     for entry in base.unneeded if entry['patch'] not in names]
        problems += [f'{base.name}: base.toml says to which commits of mainline {name} '
                     f'corresponds, which is no patch of the series'
                     for name in base.mainline if name not in names]
        attached = base.new_files()
        used |= set(attached)
        problems += [f'{base.name}: {name} is attached twice'
                     for name in sorted({name for name in attached if attached.count(name) > 1})]
        listed = {patch for patch, _ in base.series()}
        problems += [f'{relative(path)} is not in the series'
                     for path in sorted(base.dir.glob('*.patch')) if path.name not in listed]
    problems += [f'{name} belongs to no patch of any base'
                 for name in kernel_files(root) if name not in used]
    return problems


def check_mail(base):
    """Patches are mails that git am turns into proper commits, not yet signed off."""
    problems = []
    for patch, _ in base.series():
        text = (base.dir / patch).read_text()
        header, _, body = text.partition('\n\n')
        for field in ('From', 'Date', 'Subject'):
            if not re.search(rf'^{field}: \S', header, re.M):
                problems.append(f'{base.name}/{patch} has no {field}: line')
        message = re.split(r'^(?:---|diff --git .*)$', body, maxsplit=1, flags=re.M)[0]
        if len(message.split()) < 15:
            problems.append(f'{base.name}/{patch} does not say why')
        if 'Signed-off-by:' in message:
            problems.append(f'{base.name}/{patch} is signed off: the sender does that')
    return problems


def check_round_trip(base, tree):
    """Writing the commits back gives the very files they came from: no fuzz, no offset."""
    patches, contents = assemble.read_commits(tree)
    found = [(name, new) for name, _, new in patches]
    expected = [(patch, sorted(files)) for patch, files in base.series()]
    if found != expected:
        return [f'{base.name}: make tree and make refresh would change the file "series"']
    problems = [f'{base.name}/{name} changes when it is applied and written back: run '
                f'"make tree" and "make refresh"'
                for name, text, _ in patches if (base.dir / name).read_text() != text]
    problems += [f'{name} changes when it is applied and written back'
                 for name, data in contents.items() if (base.root / name).read_bytes() != data]
    return problems


def check_point_release(base, release):
    """The series applies to another point release without fuzz."""
    version = release['version']
    proof = CACHE / 'applies' / f'{version}-{base.digest()}'
    if not proof.exists():
        archive, source = fetch.tarball(version, release['source'])
        names = set(assemble.touched_files(base)) | set(base.new_files())
        with tempfile.TemporaryDirectory() as scratch:
            tree = Path(scratch)
            fetch.extract(archive, source, names, tree)
            assemble.git(tree, 'init', '--quiet')
            assemble.git(tree, 'add', '--all', '--force', '.')
            assemble.git(tree, 'commit', '--quiet', '--message', version)
            try:
                assemble.apply_series(tree, base)
            except Failure as failure:
                return [str(failure)]
        proof.parent.mkdir(parents=True, exist_ok=True)
        proof.touch()
    say(f'  {base.name}: applies to {version}')
    return []


def check_neighbours(base):
    """What becomes of each patch on the kernels next to the base is what is on record."""
    return [] if fetch.given() else neighbours.check(base)


def check_sets(base, stock):
    """Every patch belongs to one set, and every set can be sent as it is."""
    described, names = sets.Sets(base), mails.names(base)
    problems = described.problems(names)
    if not problems:
        try:
            with tempfile.TemporaryDirectory() as scratch:
                written = mails.write_sets(stock, base, described, assemble.assembled_commit(
                    stock, base), Path(scratch), assemble.IDENTITY)
            if written:
                say(f'  {base.name}: {len(written)} sets apply on their own')
        except Failure as failure:
            problems += str(failure).splitlines()
    return problems + described.idle(names)


def check_checkpatch(tree):
    problems = []
    script = tree / 'scripts' / 'checkpatch.pl'
    with tempfile.TemporaryDirectory() as scratch:
        assemble.git(tree, 'format-patch', '--quiet', '--output-directory', scratch, 'base..HEAD')
        for patch in sorted(Path(scratch).glob('*.patch')):
            done = subprocess.run(['perl', str(script), *CHECKPATCH, str(patch)], cwd=tree,
                                  capture_output=True, text=True)
            found = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            if done.returncode and not found:
                found = [f'ended with status {done.returncode} and no message']
            problems += [f'checkpatch: {patch.name}: {line}' for line in found]
    return problems


def kernel_doc(tree, names):
    script = tree / 'scripts' / 'kernel-doc'
    done = subprocess.run([str(script), '-none', '-Wall', *[name for name in names
                                                           if (tree / name).exists()]],
                          cwd=tree, capture_output=True, text=True)
    text = done.stdout + done.stderr
    if 'Traceback' in text or done.returncode and not compilers.normalise(text):
        raise Failure(f'{script} failed: {(text.strip() or "no message").splitlines()[-1]}')
    return text


def check_kernel_doc(tree, stock):
    names = [name for name in compilers.changed_files(tree) if name.endswith(('.c', '.h'))]
    return compilers.new_warnings('kernel-doc', kernel_doc(stock, names), kernel_doc(tree, names))


def selftest_problems(text, programs):
    """What is wrong with a run of the selftests on a machine that has none of the devices."""
    problems = [f'selftests: {line.strip()}' for line in text.splitlines()
                if re.match(r'(?:# )*not ok |.*warning:', line)]
    ended = set(re.findall(r'^(?:not )?ok \d+ selftests: dma: (\w+)', text, re.M))
    problems += [f'selftests: {name} did not run' for name in sorted(set(programs) - ended)]
    unsaid = re.findall(r'^# (ok \d+ .*# SKIP)\s*$', text, re.M)
    return problems + [f'selftests: no reason: {line}' for line in unsaid]


def check_selftests(base):
    """The selftests build and run the way everybody builds and runs selftests."""
    kernel = compilers.Checked(base, 'x86_64', True, 'gcc')
    log = kernel.log.with_suffix('.selftests.log')
    shutil.rmtree(kernel.dir / 'kselftest', ignore_errors=True)
    run(kernel.make('headers'), log, 'headers', quiet=True, env=kernel.environment())
    run(kernel.make_selftests('KDIR=none', 'run_tests'), log, f'selftests of {base.name}',
        quiet=True, env=kernel.environment())
    programs = report.Expectation(base).programs
    say(f'  {base.name}: {len(programs)} selftests built and run by "make run_tests"')
    return selftest_problems(log.read_text(errors='replace'), programs)


def check_repository(bases):
    """What can be seen without a kernel, which the harness's own tests look at, too."""
    problems = check_layout(bases) + analysers.check_project()
    if readme.is_stale():
        problems.append('the tables of README.md are stale: run "python3 -m harness.readme"')
    for base in bases:
        problems += check_mail(base) + proof.problems(base)
    return problems


def check_base(base):
    problems = []
    stock = assemble.stock(base)
    tree = assemble.patched(base)
    for release in base.point_releases if not fetch.given() else []:
        problems += check_point_release(base, release)
    problems += check_neighbours(base)
    problems += check_sets(base, stock)
    problems += check_round_trip(base, tree)
    problems += check_checkpatch(tree)
    problems += check_kernel_doc(tree, stock)
    problems += coccinelle.check(base, tree)
    problems += compilers.check(base, tree)
    problems += analysers.check(base, tree, stock)
    problems += check_selftests(base)
    problems += bisect.check(base)
    return problems


def command():
    asked('BASE', base_names(), Base)
    packages.ensure(packages.CHECK, packages.BUILD, bisect.needed(),
                    *(packages.ARCH[arch] for arch in compilers.ARCH))
    with cache_lock():
        chosen = assemble.chosen_bases()
        problems = check_repository([Base(name) for name in base_names()])
        for base in chosen:
            problems += bench.stale(base)
            problems += check_base(base)
        if len(chosen) == len(base_names()):
            problems += analysers.gone()
    for problem in problems:
        say(problem)
    say(f'{len(problems)} problems in {len(chosen)} bases')
    return bool(problems)


if __name__ == '__main__':
    main(command)
