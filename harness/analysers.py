# SPDX-License-Identifier: GPL-2.0
"""What slower tools say of the files that a series touches, and do not say of the base.

What one has said of a file is kept for as long as the file, whatever it includes, the
tool and its configuration stay the same.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import assemble, coccinelle, compilers, packages
from harness.history import digest
from harness.project import (CACHE, JOBS, ROOT, Base, Failure, cache_lock, keep, main,
                             output_of, relative, run, say, show_problems)

# The findings that are right to be there.
ACCEPTED = ROOT / 'harness' / 'analysers.toml'
# Those of them that there have been in this run.
met = set()

# As scripts/clang-tools/run-clang-tools.py runs it, which leaves out the same checker.
CHECKER = (f'{packages.CLANG} --analyze --analyzer-output text -Xclang -analyzer-disable-checker='
           f'security.insecureAPI.DeprecatedOrUnsafeBufferHandling')
# Checkers have a dot in their name, and the options of the compiler have none.
FOUND_BY_CHECKER = re.compile(r'^(\S+?):\d+:\d+: warning: (.*\[\w+(?:\.\w+)+\])$')


def contents(tree, names):
    """Changes whenever one of the files does, or comes or goes."""
    return digest([(name, hashlib.sha256((tree / name).read_bytes()).hexdigest())
                   for name in sorted(names) if (tree / name).exists()])


def kept(what, keys, make):
    """What is kept by a key for each name; make() returns it for the names that lack it."""
    store = CACHE / 'analysed' / what
    lacking = [name for name, key in keys.items() if not (store / key).exists()]
    for name, findings in (make(lacking) if lacking else {}).items():
        keep(store / keys[name], json.dumps(findings))
    return {name: json.loads((store / key).read_text()) for name, key in keys.items()}


def new_findings(what, before, after):
    """The findings of a tree that are more than those of another one, and not accepted."""
    more = Counter(line for lines in after.values() for line in lines)
    more -= Counter(line for lines in before.values() for line in lines)
    known = coccinelle.accepted(ACCEPTED)
    found = [f'{what}: {line}' for line in sorted(more)]
    met.update(finding for finding in found if finding in known)
    return [finding for finding in found if finding not in known]


def gone():
    """What is accepted, and no base of this run has."""
    return [f'{relative(ACCEPTED)} accepts "{finding}", which is gone'
            for finding in coccinelle.accepted(ACCEPTED) if finding not in met]


def around(tree, touched):
    """Changes with whatever files that are compiled may take in or be configured by."""
    parts = [name for name in touched if not name.startswith(('Documentation/', 'scripts/'))
             and (not name.endswith('.c') or compilers.is_included(tree, name))]
    return digest(assemble.git(tree, 'rev-parse', 'base'), contents(tree, parts))


# Coccinelle

def semantic_patches(tree):
    """Those of the kernel; the one of the series is looked at by itself."""
    return [path for path in sorted(tree.glob('scripts/coccinelle/*/*.cocci'))
            if path != tree / coccinelle.SCRIPT and 'virtual report' in path.read_text()]


def run_script(tree, script, names):
    """What a semantic patch reports of each of the files."""
    with tempfile.NamedTemporaryFile('w', suffix='.groups') as groups:
        groups.write('\n\n'.join(names) + '\n')
        groups.flush()
        printed, errors = coccinelle.spatch(
            tree, '-D', 'report', '--no-show-diff', '--very-quiet', '--no-scanner',
            '--cocci-file', str(script), *coccinelle.options(script), '--file-groups', groups.name)
    # Of the semantic patch itself it warns each time.
    errors = [line for line in errors.splitlines() if not line.startswith('warning: line')]
    if errors:
        raise Failure(f'spatch {script.name} failed: {errors[-1]}')
    findings = {name: [] for name in names}
    for line in printed.splitlines():
        name = os.path.normpath(line.partition(':')[0])
        if name not in findings:
            raise Failure(f'spatch {script.name} says of none of the files: {line}')
        findings[name].append(f'{coccinelle.without_lines(line)} [{script.stem}]')
    return findings


def coccicheck(tree, touched, version):
    """What the semantic patches of the kernel report of the touched files, as coccicheck does."""
    names = [name for name in touched if name.endswith(('.c', '.h')) and (tree / name).exists()]
    taken_in = around(tree, touched)

    def of_script(script):
        alone = '--no-includes' in coccinelle.options(script)
        keys = {name: digest(version, script.read_text(), '' if alone else taken_in, name,
                             contents(tree, [name])) for name in names}
        return kept('coccicheck', keys, lambda lacking: run_script(tree, script, lacking))

    with ThreadPoolExecutor(JOBS) as pool:
        done = list(pool.map(of_script, semantic_patches(tree)))
    return {name: [line for found in done for line in found[name]] for name in names}


def check_coccicheck(base, tree, stock):
    touched = compilers.changed_files(tree)
    version = output_of(['spatch', '--version'])
    before, after = (coccicheck(where, touched, version) for where in (stock, tree))
    say(f'  {base.name}: {len(after)} files checked with {len(semantic_patches(tree))} semantic '
        f'patches of the kernel')
    return new_findings('coccicheck', before, after)


# The static analyser of clang

def by_source(text):
    """What was printed below each of kbuild's CHECK lines."""
    found, current = {}, None
    for line in text.splitlines():
        start = re.match(r'  CHECK +(\S+)$', line)
        if start:
            current = found.setdefault(start[1], [])
        elif re.match(r'  [A-Z]+ (?:\[M\])? +\S', line):
            current = None
        elif current is not None:
            current.append(line)
    return found


def findings_of(lines, tree):
    """The findings of the analyser, without what moves when lines are added above them."""
    found = []
    for line in lines:
        match = FOUND_BY_CHECKER.match(line)
        if match:
            name = match[1].removeprefix(f'{tree}/').removeprefix('../')
            found.append(f'{os.path.normpath(name)}: {match[2]}')
    return found


def analyse(kernel, targets, log_name):
    """Let the analyser look at what make builds for these targets."""
    log = kernel.log.with_suffix(f'.{log_name}.log')
    run(kernel.make('W=1', 'C=2', f'CHECK={CHECKER}', 'CHECKFLAGS=', '--output-sync=target',
                    '--keep-going', 'KBUILD_MODPOST_WARN=1', *targets),
        log, f'analyse {kernel.name}', quiet=True, env=kernel.environment())
    found = by_source(log.read_text(errors='replace'))
    return {os.path.normpath(name.removeprefix(f'{kernel.source}/').removeprefix('../')):
            findings_of(lines, kernel.source) for name, lines in found.items()}


def analyse_kernel(kernel, sources, taken_in, version):
    """What is said of the C files of a kernel that compilers.check() has prepared."""
    keys = {name: digest(version, CHECKER, taken_in, kernel.fragment(), name,
                         contents(kernel.source, [name])) for name in sources}

    def make(lacking):
        found = analyse(kernel, map(compilers.object_of, lacking), 'analyse')
        lost = [name for name in lacking if name not in found]
        if lost:
            raise Failure(f'{kernel.name}: the analyser did not look at {lost[0]}')
        return {name: found[name] for name in lacking}
    return kept('clang', keys, make)


def analyse_modules(kernel, touched, taken_in, version):
    """The same for the test modules, which stand outside of the kernel image."""
    place = f'{compilers.build.SELFTESTS}/test_modules'
    sources = [name for name in touched if name.startswith(place) and name.endswith('.c')]
    parts = [name for name in touched if name.startswith(compilers.build.SELFTESTS)]
    key = digest(version, CHECKER, taken_in, kernel.fragment(), contents(kernel.source, parts))

    def make(_):
        found = analyse(kernel, [f'M={kernel.source / place}', 'modules'], 'analyse-modules')
        named = {Path(name).name: lines for name, lines in found.items()}
        lost = [name for name in sources if Path(name).name not in named]
        if lost:
            raise Failure(f'{kernel.name}: the analyser did not look at {lost[0]}')
        return {place: [line for lines in named.values() for line in lines]}
    return kept('clang', {place: key}, make)


def check_clang(base, tree, stock):
    touched = compilers.changed_files(tree)
    version = output_of([packages.CLANG, '--version'])
    ours = set(base.new_files())
    sources = [name for name in compilers.touched_sources(tree)
               if compilers.is_compiled(base, name, 'x86_64')
               and not compilers.is_included(tree, name)]
    after_kernel = compilers.Checked(base, 'x86_64', True, packages.CLANG)
    before_kernel = compilers.Checked(base, 'x86_64', False, packages.CLANG)
    after = analyse_kernel(after_kernel, sources, around(tree, touched), version)
    after |= analyse_modules(after_kernel, touched, around(tree, touched), version)
    before = analyse_kernel(before_kernel, [name for name in sources if name not in ours],
                            around(stock, touched), version)
    say(f'  {base.name}: {len(sources)} files and the test modules analysed with {packages.CLANG}')
    return new_findings('clang analyser', before, after)


# Sphinx

def documents(tree, touched):
    """The documents that a series touches, and those that take in a source it touches."""
    names = {name for name in touched if name.startswith('Documentation/')
             and name.endswith('.rst')}
    pattern = '|'.join(re.escape(name) for name in touched if name.endswith(('.c', '.h')))
    return sorted(names | set(assemble.files_with(
        tree, rf'^\.\. kernel-doc:: *({pattern})$', '--', 'Documentation/*.rst')))


def lay_out(tree, names, scratch):
    """A tree for Sphinx of these documents alone; what they include is where they expect it."""
    for path in tree.iterdir():
        if path.name != 'Documentation' and not path.name.startswith('.'):
            (scratch / path.name).symlink_to(path)
    docs = scratch / 'Documentation'
    docs.mkdir()
    for name in ('conf.py', 'sphinx', 'sphinx-static', 'images'):
        path = tree / 'Documentation' / name
        (shutil.copytree if path.is_dir() else shutil.copy)(path, docs / name)
    listed = ''
    for name in names:
        if (tree / name).exists():
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tree / name, scratch / name)
            listed += f'   {name.removeprefix("Documentation/").removesuffix(".rst")}\n'
    (docs / 'index.rst').write_text(f'Touched\n=======\n\n.. toctree::\n\n{listed}')
    return docs


def is_elsewhere(tree, line):
    """Whether a document is missed that was left out and is there in the whole tree."""
    missed = re.search(r"^(\S+?):.*(?:nonexisting document|unknown document:) '?([\w./-]+)'?", line)
    return missed and any((where / f'{missed[2].lstrip("/")}.rst').exists()
                          for where in (tree / 'Documentation', (tree / missed[1]).parent))


def read_documents(tree, names):
    """The warnings of Sphinx, with the kernel's own configuration and extensions."""
    with tempfile.TemporaryDirectory() as scratch:
        docs = lay_out(tree, names, Path(scratch))
        script = next(path for path in (tree / 'scripts' / 'kernel-doc.py',
                                        tree / 'scripts' / 'kernel-doc',
                                        tree / 'tools' / 'docs' / 'kernel-doc') if path.exists())
        done = subprocess.run(
            ['sphinx-build', '-q', '-b', 'dummy', '-d', f'{scratch}/doctrees',
             '-D', f'kerneldoc_srctree={tree}', '-D', f'kerneldoc_bin={script}', '-D', 'version=',
             '-D', 'release=', '-D', 'html_logo=', str(docs), f'{scratch}/out'],
            env={**os.environ, 'srctree': str(tree), 'PYTHONDONTWRITEBYTECODE': '1',
                 'LC_ALL': 'C.UTF-8'}, capture_output=True, text=True)
        if done.returncode:
            words = done.stderr.strip().splitlines() or ['no message']
            raise Failure(f'sphinx-build failed: {words[-1]}')
        text = done.stderr.replace(f'{scratch}/', '').replace(f'{tree}/', '')
    return [re.sub(r':\d+', '', line) for line in text.splitlines()
            if re.search(r'(?:WARNING|ERROR|[Ww]arning):', line) and not is_elsewhere(tree, line)]


def dead_references(tree, names):
    """Documents that a document names, and that are nowhere."""
    return [f'{name}: there is no {other}' for name in names if (tree / name).exists()
            for other in re.findall(r'\bDocumentation/[\w./-]+\.rst\b', (tree / name).read_text())
            if not (tree / other).exists()]


def check_documents(base, tree, stock):
    names = documents(tree, compilers.changed_files(tree))
    version = output_of(['sphinx-build', '--version'])

    def said(where):
        key = digest(version, assemble.git(where, 'rev-parse', 'HEAD^{tree}'), names)
        return kept('sphinx', {'sphinx': key}, lambda _: {
            'sphinx': read_documents(where, names) + dead_references(where, names)})
    before, after = said(stock), said(tree)
    say(f'  {base.name}: {len(names)} documents read with Sphinx')
    return new_findings('sphinx', before, after)


# The project itself

def project_files(root=ROOT):
    """All files of the project by name, also those that are not committed yet."""
    listed = output_of(['git', '-C', str(root), 'ls-files', '--cached', '--others',
                        '--exclude-standard']).splitlines()
    return [name for name in listed if (Path(root) / name).is_file()]


def is_shell(path):
    with open(path, 'rb') as file:
        return re.match(rb'#!\s*\S*/(?:env +)?(?:ba|da)?sh\b', file.readline())


def check_project(root=ROOT):
    """pyflakes and shellcheck have nothing to say of the project's own programs."""
    paths = [Path(root) / name for name in project_files(root)]
    programs = {'pyflakes3': [path for path in paths if path.suffix == '.py'],
                'shellcheck': [path for path in paths if is_shell(path)]}
    problems = []
    for program, checked in programs.items():
        options = ['--format=gcc'] if program == 'shellcheck' else []
        done = subprocess.run([program, *options, *map(str, checked)], capture_output=True,
                              text=True)
        found = (done.stdout + done.stderr).replace(f'{root}/', '').splitlines()
        if done.returncode and not found:
            found = [f'ended with status {done.returncode} and no message']
        problems += [f'{program}: {line}' for line in found]
    return problems


def check(base, tree, stock):
    """After compilers.check(), which prepares the trees that clang needs."""
    return check_documents(base, tree, stock) + check_coccicheck(base, tree, stock) \
        + check_clang(base, tree, stock)


def command(name):
    packages.ensure(packages.CHECK, packages.BUILD)
    with cache_lock():
        base = Base(name)
        problems = check_project() + check(base, assemble.patched(base), assemble.stock(base))
    return show_problems(problems)


if __name__ == '__main__':
    main(command, *sys.argv[1:])
