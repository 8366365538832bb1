# SPDX-License-Identifier: GPL-2.0
"""Configure and build a kernel, its test modules and selftests, and the initramfs."""

import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys

from harness import assemble, boot, fetch, packages
from harness.project import CACHE, JOBS, ROOT, Base, Failure, cache_lock, main, output_of, run, say

KCONFIG = ROOT / 'machines' / 'kconfig'
INIT = ROOT / 'harness' / 'init.c'
GUEST = ROOT / 'harness' / 'guest.h'
SELFTESTS = 'tools/testing/selftests/dma'
SELFTESTS_CONFIG = ROOT / SELFTESTS / 'config'

# Those that have an image are booted, the others compiled: see architectures.py.
ARCH = {
    'x86_64': {'ARCH': 'x86_64', 'cross': '', 'image': 'arch/x86/boot/bzImage'},
    'arm64': {'ARCH': 'arm64', 'cross': 'aarch64-linux-gnu-', 'image': 'arch/arm64/boot/Image'},
    'arm': {'ARCH': 'arm', 'cross': 'arm-linux-gnueabihf-', 'image': 'arch/arm/boot/zImage'},
    'i386': {'ARCH': 'i386', 'cross': 'i686-linux-gnu-', 'image': 'arch/x86/boot/bzImage'},
    'mips64': {'ARCH': 'mips', 'cross': 'mips64-linux-gnuabi64-'},
    'powerpc64le': {'ARCH': 'powerpc', 'cross': 'powerpc64le-linux-gnu-'},
    'riscv64': {'ARCH': 'riscv', 'cross': 'riscv64-linux-gnu-', 'image': 'arch/riscv/boot/Image'},
    's390x': {'ARCH': 's390', 'cross': 's390x-linux-gnu-', 'image': 'arch/s390/boot/bzImage'},
    'sparc64': {'ARCH': 'sparc64', 'cross': 'sparc64-linux-gnu-'},
}

# Nothing of the day or the machine ends up in the image, so that ccache works.
REPRODUCIBLE = {'KBUILD_BUILD_TIMESTAMP': '2026-01-01', 'KBUILD_BUILD_USER': 'dma',
                'KBUILD_BUILD_HOST': 'coherent', 'KCFLAGS': '', 'LC_ALL': 'C'}


def is_for(name, arch):
    """ARCH.kunitconfig is for one architecture, any other .kunitconfig for all."""
    stem = name.rpartition('/')[2].removesuffix('.kunitconfig')
    return stem not in ARCH or stem == arch


def only_for(name):
    """The architecture that a file below arch/ is for: the first of those that share it."""
    top, _, rest = name.partition('/')
    if top != 'arch':
        return None
    found = [arch for arch in ARCH if directory(arch) == rest.partition('/')[0]]
    if not found:
        raise Failure(f'{name} is for an architecture that harness/build.py does not know: add it '
                      f'to ARCH')
    return found[0]


def directory(arch):
    """Where below arch/ an architecture is at home."""
    return {'x86_64': 'x86', 'i386': 'x86', 'sparc64': 'sparc'}.get(arch, ARCH[arch]['ARCH'])


def absent(arch):
    """The options that an architecture's fragment turns off, whatever else asks for them."""
    return set(re.findall(r'^# (CONFIG_\w+) is not set$',
                          (KCONFIG / f'{arch}.config').read_text(), re.M))


def program_text(source):
    """What one of our programs for a machine is compiled from: all of them include the header."""
    return source.read_text() + GUEST.read_text()


def compiler_version(arch):
    """What the compiler says of itself, the version in the first line."""
    return output_of([ARCH[arch]['cross'] + 'gcc', '--version'])


class Kernel:
    """A kernel to build: a base with or without the series, for an architecture."""

    # How it is booted: what it needs on its command line, and for how long.
    append = ''
    timeout = boot.TIMEOUT
    # What its log has to say.
    signs = ()
    # What the log of its build is called.
    log_name = 'build-{kernel.base.name}-{kernel.flavour}-{kernel.arch}'

    def __init__(self, base, arch, with_series=True, source=None):
        self.base = base
        self.arch = arch
        self.with_series = with_series
        self.source = source or (assemble.patched(base) if with_series else assemble.stock(base))
        # Below the source, kbuild uses relative paths, and ccache can share
        # objects between the stock kernel and the patched one.
        self.flavour = 'series' if with_series else 'stock'
        self.dir = self.source / f'build-{arch}'
        self.name = f'Linux {assemble.tree_version(self.source)} {self.flavour} {arch}'

    @property
    def image(self):
        return self.dir / ARCH[self.arch].get('image', 'vmlinux')

    @property
    def log(self):
        return CACHE / 'log' / f'{self.log_name.format(kernel=self)}.log'

    def heard(self, done):
        """A boot of this kernel, without what its log should not be blamed for."""
        return done

    def make(self, *arguments):
        settings = ARCH[self.arch]
        compiler = settings['cross'] + 'gcc'
        if shutil.which('ccache'):
            compiler = 'ccache ' + compiler
        return ['make', '--directory', str(self.source), f'--jobs={JOBS}', f'O={self.dir}',
                f'ARCH={settings["ARCH"]}', f'CROSS_COMPILE={settings["cross"]}',
                f'CC={compiler}', *arguments]

    def environment(self):
        # What the user's shell exports for other builds must not get in here.
        kept = {name: value for name, value in os.environ.items()
                if name in ('PATH', 'HOME', 'TMPDIR', 'XDG_CACHE_HOME')
                or name.startswith('CCACHE_')}
        return {**kept, **REPRODUCIBLE}

    def wanted(self):
        """What all fragments ask for."""
        names = ['common', self.arch]
        paths = [KCONFIG / f'{name}.config' for name in names] + [SELFTESTS_CONFIG]
        # Options that only this kernel has.
        paths += self.base.dir.glob('kernel.config')
        text = ''.join(path.read_text() for path in paths)
        return text + (self.tests_fragment() if self.with_series else '')

    def fragment(self):
        """The configuration on top of allnoconfig."""
        lost = absent(self.arch)
        return ''.join(line for line in self.wanted().splitlines(keepends=True)
                       if line.partition('=')[0] not in lost)

    def tests_fragment(self):
        """What the KUnit suites of the series say that they need."""
        return ''.join((ROOT / name).read_text() for name in self.base.new_files()
                       if name.endswith('.kunitconfig') and is_for(name, self.arch))

    def stamp(self):
        """Changes whenever the result of the build may change."""
        commit = assemble.git(self.source, 'rev-parse', 'HEAD')
        text = commit + compiler_version(self.arch) + self.fragment() \
            + repr((self.make(), REPRODUCIBLE))
        return hashlib.sha256(text.encode()).hexdigest()

    def configure(self):
        self.dir.mkdir(parents=True, exist_ok=True)
        fragment = self.dir / 'fragment.config'
        fragment.write_text(self.fragment())
        run(self.make(f'KCONFIG_ALLCONFIG={fragment}', 'allnoconfig'),
            self.log.with_suffix('.config.log'), f'configure {self.name}', quiet=True, env=self.environment())
        self.check_configuration()

    def check_configuration(self):
        config = set((self.dir / '.config').read_text().splitlines())
        lost = [line for line in self.fragment().splitlines()
                if line.startswith('CONFIG_') and line not in config]
        if lost:
            raise Failure(f'{self.name}: the kernel does not take {", ".join(lost)}; '
                          f'a dependency is missing in machines/kconfig or a .kunitconfig')
        # An option whose dependencies are not met is not mentioned at all.
        asked = {line.partition('=')[0] for line in self.wanted().splitlines()}
        spared = [option for option in sorted(absent(self.arch) & asked)
                  if f'# {option} is not set' in config]
        if spared:
            raise Failure(f'{self.name}: machines/kconfig/{self.arch}.config turns off '
                          f'{", ".join(spared)}, which the kernel could have')

    def build(self):
        packages.for_arch(self.arch)
        stamp_file = self.dir / 'built'
        stamp = self.stamp()
        if not stamp_file.exists() or stamp_file.read_text() != self.built(stamp):
            stamp_file.unlink(missing_ok=True)
            self.configure()
            run(self.make(self.image.name, 'modules'), self.log, f'build {self.name}',
                env=self.environment())
            stamp_file.write_text(self.built(stamp))
        return self

    def built(self, stamp):
        """What a build leaves behind: somebody may have made another image there by hand."""
        return f'{stamp} {fetch.sha256(self.image) if self.image.exists() else "no image"}'

    def run_quietly(self, command, what):
        """A step whose warnings are errors, since it is our code that it compiles."""
        log = self.log.with_suffix(f'.{what.replace(" ", "-")}.log')
        run(command, log, f'{what} for {self.name}', quiet=True, env=self.environment())
        # The kernel's harness of selftests casts pointers, which 32 bits are too few for.
        warnings = re.findall(r'^(?!\.\./kselftest_harness\.h:).*warning:.*$',
                              log.read_text(errors='replace'), re.M)
        if warnings:
            raise Failure(f'{what} for {self.name}: {warnings[0].strip()}; see {log}')

    def test_modules(self):
        """The test modules for this kernel, which may be a stock one and not have their source."""
        work = self.dir / 'test_modules' / 'modules'
        shutil.rmtree(work.parent, ignore_errors=True)
        work.parent.mkdir(parents=True)
        for header in (ROOT / SELFTESTS).glob('*.h'):
            shutil.copy(header, work.parent)
        return self.modules(ROOT / SELFTESTS / 'test_modules', work, 'test modules')

    def modules(self, source, work, what, *settings):
        """The modules of a directory, built in a copy of it."""
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(source, work)
        self.run_quietly(self.make(f'M={work}', *settings, 'modules'), what)
        return sorted(work.glob('*.ko'))

    def make_selftests(self, *arguments):
        """make() for the selftests of the series, which stand in the same tree."""
        command = self.make('TARGETS=dma', *arguments)
        command[command.index('--directory') + 1] = str(self.source / 'tools/testing/selftests')
        return command

    def selftests(self):
        """The selftests, built the way everybody builds selftests, in the patched tree."""
        if not self.with_series:
            return Kernel(self.base, self.arch).selftests()
        output = self.dir / 'kselftest' / 'dma'
        shutil.rmtree(output, ignore_errors=True)
        self.run_quietly(self.make('headers'), 'headers')
        self.run_quietly(self.make_selftests('USERLDFLAGS=-static', f'KDIR={self.dir}', 'all'),
                         'selftests')
        return [output / source.stem for source in sorted((self.source / SELFTESTS).glob('*.c'))
                if 'TEST_HARNESS_MAIN' in source.read_text()]

    @functools.cache
    def pack_tests(self):
        """The initramfs for a machine that runs tests."""
        return self.pack('initramfs')

    def program(self, name, source):
        """One of our programs for a machine, which bring all that they need with them."""
        program = self.dir / name
        output_of([ARCH[self.arch]['cross'] + 'gcc', '-static', '-O2', '-Wall', '-o', str(program),
                   str(source)])
        return program

    def archive(self, listing, output):
        """Write the cpio archive of what a list names to an open file."""
        made = subprocess.run([self.dir / 'usr' / 'gen_init_cpio', listing], stdout=output,
                              stderr=subprocess.PIPE, text=True)
        if made.returncode:
            raise Failure(f'gen_init_cpio: {made.stderr.strip()}')

    def pack(self, name, extra=()):
        """An initramfs with our init, the test modules and the selftests."""
        tests, modules = self.selftests(), self.test_modules()
        init = self.program('initramfs.init', INIT)
        lines = ['dir /dev 0755 0 0', 'nod /dev/console 0600 0 0 c 5 1',
                 'dir /proc 0755 0 0', 'dir /sys 0755 0 0', f'file /init {init} 0755 0 0',
                 'dir /tests 0755 0 0']
        # Side by side, which is one of the places where the programs look for them.
        lines += [f'file /tests/{module.name} {module} 0644 0 0' for module in modules]
        lines += [f'file /tests/{test.name} {test} 0755 0 0' for test in tests]
        lines += extra
        listing = self.dir / f'{name}.list'
        listing.write_text('\n'.join(lines) + '\n')
        archive = self.dir / f'{name}.cpio'
        with open(archive, 'wb') as output:
            self.archive(listing, output)
        return archive


def command(name, arch, flavour='series'):
    packages.for_arch(arch)
    with cache_lock():
        kernel = Kernel(Base(name), arch, flavour == 'series').build()
        say(f'{kernel.image}\n{kernel.pack_tests()}')


if __name__ == '__main__':
    main(command, *sys.argv[1:])
