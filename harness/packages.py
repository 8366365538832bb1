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
    'perl': 'perl', 'xz': 'xz-utils', 'git': 'git', 'ccache': 'ccache',
    '/usr/include/gelf.h': 'libelf-dev',
}
ARCH = {
    'x86_64': {
        'qemu-system-x86_64': 'qemu-system-x86',
    },
    'arm64': {
        'qemu-system-aarch64': 'qemu-system-arm',
        'aarch64-linux-gnu-gcc': 'gcc-aarch64-linux-gnu',
        '/usr/aarch64-linux-gnu/lib/libc.a': 'libc6-dev-arm64-cross',
    },
}
HARNESS = {'git': 'git', 'xz': 'xz-utils'}
CHECK = {'sparse': 'sparse', 'clang': 'clang', 'perl': 'perl'}


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
    command = ['apt-get', 'install', '--yes', '--no-install-recommends'] + packages
    if os.geteuid() or not shutil.which('apt-get'):
        raise Failure(f'missing {", ".join(packages)}: install with "{" ".join(command)}" as root')
    environment = dict(os.environ, DEBIAN_FRONTEND='noninteractive')
    log = CACHE / 'log' / 'packages.log'
    run(['apt-get', 'update'], log, 'apt-get update', env=environment)
    run(command, log, 'install ' + ' '.join(packages), env=environment)
    still = missing(needed)
    if still:
        raise Failure(f'{", ".join(still)} still missing after apt-get install, see {log}')


def for_arch(*arches):
    ensure(BUILD, *(ARCH[arch] for arch in arches))


if __name__ == '__main__':
    main(for_arch, *sys.argv[1:])
