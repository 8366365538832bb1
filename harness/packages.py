# SPDX-License-Identifier: GPL-2.0
"""Make sure that the programs a command needs are there."""

import os
import shutil
import sys
from pathlib import Path

from harness.project import CACHE, Failure, main, run

# What shows that a package is installed: a program on PATH or a file.
BUILD = {
    'gcc': 'gcc', 'make': 'make', 'flex': 'flex', 'bison': 'bison', 'bc': 'bc',
    'perl': 'perl', 'xz': 'xz-utils', 'git': 'git',
    '/usr/include/stdio.h': 'libc6-dev', '/usr/include/gelf.h': 'libelf-dev',
}
OPTIONAL = {'ccache': 'ccache'}
ARCH = {
    'x86_64': {
        'qemu-system-x86_64': 'qemu-system-x86',
    },
    'arm64': {
        'qemu-system-aarch64': 'qemu-system-arm',
        'aarch64-linux-gnu-gcc': 'gcc-aarch64-linux-gnu',
        '/usr/aarch64-linux-gnu/lib/libc.a': 'libc6-dev-arm64-cross',
    },
    'arm': {
        'qemu-system-arm': 'qemu-system-arm',
        'arm-linux-gnueabihf-gcc': 'gcc-arm-linux-gnueabihf',
        '/usr/arm-linux-gnueabihf/lib/libc.a': 'libc6-dev-armhf-cross',
    },
    'i386': {
        'qemu-system-i386': 'qemu-system-x86',
        'i686-linux-gnu-gcc': 'gcc-i686-linux-gnu',
        '/usr/i686-linux-gnu/lib/libc.a': 'libc6-dev-i386-cross',
    },
    'riscv64': {
        'qemu-system-riscv64': 'qemu-system-misc',
        'riscv64-linux-gnu-gcc': 'gcc-riscv64-linux-gnu',
        '/usr/riscv64-linux-gnu/lib/libc.a': 'libc6-dev-riscv64-cross',
    },
    's390x': {
        'qemu-system-s390x': 'qemu-system-misc',
        's390x-linux-gnu-gcc': 'gcc-s390x-linux-gnu',
        '/usr/s390x-linux-gnu/lib/libc.a': 'libc6-dev-s390x-cross',
    },
}
# Compilers for what is compiled and not booted.
CROSS = {
    'arm-linux-gnueabihf-gcc': 'gcc-arm-linux-gnueabihf',
    'i686-linux-gnu-gcc': 'gcc-i686-linux-gnu',
    'riscv64-linux-gnu-gcc': 'gcc-riscv64-linux-gnu',
    's390x-linux-gnu-gcc': 'gcc-s390x-linux-gnu',
    'powerpc64le-linux-gnu-gcc': 'gcc-powerpc64le-linux-gnu',
    'mips64-linux-gnuabi64-gcc': 'gcc-mips64-linux-gnuabi64',
    'sparc64-linux-gnu-gcc': 'gcc-sparc64-linux-gnu',
}
# Which clang the distribution calls the default may be too old for the kernel.
CLANG = 'clang-19'
COCCINELLE = {'spatch': 'coccinelle'}
CHECK = {'sparse': 'sparse', CLANG: CLANG, 'sphinx-build': 'python3-sphinx',
         'pyflakes3': 'pyflakes3', 'shellcheck': 'shellcheck', **COCCINELLE,
         # Some semantic patches of the kernel have scripts in OCaml.
         'ocamlopt': 'ocaml'}
# What makes packages of kernels, as distributions do.
DISTRIBUTIONS = {'quilt': 'quilt', 'dpkg-buildpackage': 'dpkg-dev', 'dh_builddeb': 'debhelper',
                 'rsync': 'rsync', 'cpio': 'cpio', 'depmod': 'kmod', 'rpmbuild': 'rpm',
                 '/usr/include/elfutils/libdw.h': 'libdw-dev',
                 '/usr/include/openssl/ssl.h': 'libssl-dev'}


def missing(needed):
    """The packages of those programs and files which are not there."""
    packages = set()
    for proof, package in needed.items():
        there = Path(proof).exists() if proof.startswith('/') else shutil.which(proof)
        if not there:
            packages.add(package)
    return sorted(packages)


def ensure(*tables):
    """Install what is missing if that is possible, else say what to install."""
    needed = {proof: package for table in tables for proof, package in table.items()}
    packages = missing(needed)
    if not packages:
        return
    command = ['apt-get', 'install', '--yes', '--no-install-recommends']
    if os.geteuid() or not shutil.which('apt-get'):
        raise Failure(f'missing {", ".join(packages)}: install with "apt-get update && '
                      f'{" ".join(command + packages)}" as root')
    packages = sorted({*packages, *missing(OPTIONAL)})
    environment = dict(os.environ, DEBIAN_FRONTEND='noninteractive')
    log = CACHE / 'log' / 'packages.log'
    run(['apt-get', 'update'], log.with_name('packages-update.log'), 'apt-get update',
        env=environment)
    run(command + packages, log, 'install ' + ' '.join(packages), env=environment)
    still = missing(needed)
    if still:
        raise Failure(f'{", ".join(still)} still missing after apt-get install, see {log}')


def for_arch(*arches):
    unknown = [arch for arch in arches if arch not in ARCH]
    if unknown:
        raise Failure(f'unknown architecture {unknown[0]}: choose one of {", ".join(ARCH)}')
    ensure(BUILD, *(ARCH[arch] for arch in arches))


if __name__ == '__main__':
    main(for_arch, *sys.argv[1:])
