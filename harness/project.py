# SPDX-License-Identifier: GPL-2.0
"""What every step needs: where things are, what was asked for, running commands."""

import contextlib
import fcntl
import fnmatch
import hashlib
import inspect
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache').resolve() / 'dma-coherent'
JOBS = os.cpu_count() or 1


# A git hook exports these, and then every git command works on its repository.
for variable in ('GIT_DIR', 'GIT_WORK_TREE', 'GIT_INDEX_FILE', 'GIT_OBJECT_DIRECTORY',
                 'GIT_COMMON_DIR', 'GIT_PREFIX', 'GIT_CONFIG_PARAMETERS', 'GIT_CONFIG_COUNT'):
    os.environ.pop(variable, None)


class Failure(Exception):
    """Something the user has to know: one sentence, and perhaps where to look."""


try:
    import tomllib
except ImportError:
    sys.exit('error: Python %d.%d is too old: this needs Python 3.11 or later'
             % sys.version_info[:2])


def say(text):
    print(text, flush=True)


def show_problems(problems):
    """Print what is wrong, one after the other; the exit status of a command that found it."""
    for problem in problems:
        say(problem)
    return bool(problems)


def relative(path):
    """A path as the user would type it."""
    with contextlib.suppress(ValueError):
        return str(Path(path).relative_to(Path.cwd()))
    return str(path)


def load_toml(path, *needed):
    """A description that people write by hand, so that it may be wrong."""
    try:
        with open(path, 'rb') as toml:
            description = tomllib.load(toml)
    except tomllib.TOMLDecodeError as error:
        raise Failure(f'{relative(path)}: {error}') from error
    lost = [key for key in needed if key not in description]
    if lost:
        raise Failure(f'{relative(path)} does not say what is its {" and ".join(lost)}')
    return description


def keep(path, text):
    """Write a file of the cache, which is there as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + '.part')
    part.write_text(text)
    part.replace(path)


class Base:
    """One kernel the series is for, as described by series/<name>/base.toml."""

    def __init__(self, name, root=ROOT):
        self.name = name
        self.root = Path(root)
        self.dir = self.root / 'series' / name
        known = base_names(root)
        if name not in known:
            raise Failure(f'unknown BASE={name}: choose one of {", ".join(known)}')
        description = load_toml(self.dir / 'base.toml', 'version', 'source')
        self.version = description['version']
        self.sources = description['source']
        self.point_releases = description.get('point_release', [])
        # Other kernels, of which it is known which patches apply.
        self.neighbours = description.get('neighbour', [])
        # What Debian adds to the kernel, tried in this order.
        self.packaging = description.get('packaging', [])
        # Patches that other releases of the base may not need.
        self.unneeded = description.get('unneeded', [])
        for entry in self.unneeded:
            if not {'patch', 'file', 'has'} <= set(entry) or not {'commit', 'because'} & set(entry):
                raise Failure(f'{relative(self.dir / "base.toml")}: an entry of "unneeded" needs '
                              f'patch, file, has, and commit or because: {entry}')
        # The commits of mainline that a patch corresponds to.
        self.mainline = description.get('mainline', {})

    def series(self):
        """The patches in order, each with the new files that it brings."""
        patches = []
        for number, line in enumerate((self.dir / 'series').read_text().splitlines(), 1):
            words = line.split('#')[0].split()
            if not words:
                continue
            if words[0] == '+' and len(words) == 2 and patches:
                patches[-1][1].append(words[1])
            elif len(words) == 1:
                patches.append((words[0], []))
            else:
                raise Failure(f'{relative(self.dir / "series")}:{number}: expected '
                              f'"NNNN-name.patch" or "    + path", found "{line.strip()}"')
        return patches

    def new_files(self):
        return [path for _, files in self.series() for path in files]

    def digest(self):
        """Changes whenever what the series does to a kernel changes."""
        content = hashlib.sha256()
        for patch, files in self.series():
            for path in [self.dir / patch] + [self.root / name for name in files]:
                if not path.is_file():
                    raise Failure(f'{relative(self.dir / "series")} names '
                                  f'{relative(path)}, which does not exist')
                content.update(f'{path.relative_to(self.root)}\0'.encode())
                content.update(path.read_bytes())
        for entry in self.unneeded:
            content.update(repr(sorted(entry.items())).encode())
        return content.hexdigest()[:16]


def is_kernel_code(name):
    """Whether a file is code of the kernel itself: not what tests it, and not programs."""
    return name.endswith(('.c', '.h')) and '/tests/' not in f'/{name}' \
        and not name.startswith(('tools/', 'include/kunit/', 'Documentation/'))


def without_number(patch):
    """The name of a patch without its number, which changes when another one comes or goes."""
    return patch.partition('-')[2]


def base_names(root=ROOT):
    return sorted(path.parent.name for path in Path(root).glob('series/*/base.toml'))


WHEN = ('always', 'verify')


class Machine:
    """One virtual machine, as described by machines/<name>.toml."""

    def __init__(self, name):
        self.name = name
        known = machine_names()
        if name not in known:
            raise Failure(f'unknown MACHINE={name}: choose one of {", ".join(known)}')
        description = load_toml(ROOT / 'machines' / f'{name}.toml', 'arch', 'purpose', 'qemu')
        self.arch = description['arch']
        self.purpose = description['purpose']
        self.qemu = description['qemu']
        self.append = description.get('append', '')
        # Whether it is booted by default, or only by MACHINE= and what verifies all.
        self.when = description.get('when', 'always')
        if self.when not in WHEN:
            raise Failure(f'machines/{name}.toml: "when" is one of {", ".join(WHEN)}')
        # Xen, if the kernel is to run as its dom0: where it comes from, its command line.
        self.hypervisor = description.get('hypervisor')
        # What becomes of the mappings that the selftests make there.
        self.expect = description.get('expect', {})


def machine_names():
    return sorted(path.stem for path in ROOT.glob('machines/*.toml'))


def asked(variable, names, kind, default=None):
    """The bases or machines that BASE= or MACHINE= selects; wildcards work."""
    wanted = os.environ.get(variable, '').replace(',', ' ').split()
    if not wanted:
        return [kind(name) for name in (names if default is None else default)]
    found = [name for word in wanted for name in fnmatch.filter(names, word) or [word]]
    return [kind(name) for name in dict.fromkeys(found)]


def default_machine_names():
    """The machines that every command boots which is not asked for others."""
    return [name for name in machine_names() if Machine(name).when == 'always']


def default_machines():
    return [Machine(name) for name in default_machine_names()]


def machines():
    return asked('MACHINE', machine_names(), Machine, default_machine_names())


def log_tail(log, lines=12):
    """The last lines of a log, those that name an error before all others."""
    text = Path(log).read_text(errors='replace').splitlines()
    telling = [line for line in text
               if any(word in line for word in ('error', 'Error', 'E: ', 'fatal:'))]
    return '\n'.join('    ' + line for line in (telling or text)[-lines:])


def run(command, log, what, quiet=False, **options):
    """Run a long command into a log file and show that it is alive."""
    log = Path(log)
    log.parent.mkdir(parents=True, exist_ok=True)
    start = shown = time.monotonic()
    with open(log, 'wb') as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL, process_group=0, **options)
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=1)
                    break
                if not quiet and time.monotonic() - shown > 30:
                    shown = time.monotonic()
                    lines = log.read_bytes().count(b'\n')
                    say(f'  {what}: {shown - start:.0f} s, {lines} lines of log')
        finally:
            end_group(process)
    if process.returncode:
        raise Failure(f'{what} failed; the end of {relative(log)}:\n{log_tail(log)}')
    if not quiet:
        say(f'  {what}: {time.monotonic() - start:.0f} s')


def end_group(process):
    """Leave no make or QEMU behind, whatever ends this program."""
    if process.poll() is None:
        # Another thread may just have waited for it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def output_of(command, **options):
    """The output of a short command; Failure with its last words if it fails."""
    text = options.pop('text', True)
    done = subprocess.run(command, capture_output=True, **options)
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip()).decode(errors='replace').splitlines()
        telling = [line for line in words if 'error' in line] or words[-1:]
        raise Failure(f'{" ".join(map(str, command[:4]))} ... failed: '
                      + (telling[0] if telling else f'exit status {done.returncode}'))
    return done.stdout.decode(errors='surrogateescape') if text else done.stdout


@contextlib.contextmanager
def cache_lock():
    """One run at a time: two would fight over the trees and the two processors."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / 'lock', 'w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f'another run is using {CACHE}, waiting for it')
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(function, *arguments):
    """Run a step as a command: Failure becomes one message and exit status 1."""
    # Being told to stop is no reason to leave a build running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        signature = inspect.signature(function)
        try:
            signature.bind(*arguments)
        except TypeError:
            raise Failure(f'expected arguments: {signature}') from None
        sys.exit(function(*arguments) or 0)
    except Failure as failure:
        sys.exit(f'error: {failure}')
    except OSError as error:
        sys.exit(f'error: {error.filename or "input or output"}: {error.strerror or error}')
    except KeyboardInterrupt:
        sys.exit('interrupted')
