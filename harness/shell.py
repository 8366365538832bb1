# SPDX-License-Identifier: GPL-2.0
"""Leave the user at a prompt on one of the machines, with the tests at hand."""

import sys

from harness import boot, build, fetch
from harness.project import ROOT, Base, Failure, Machine, load_toml, main, say

BUSYBOX = ROOT / 'harness' / 'busybox.toml'


def busybox(kernel):
    """The program that is the shell and all commands, in the kernel's build directory."""
    known = load_toml(BUSYBOX)
    if kernel.arch not in known:
        raise Failure(f'there is no shell for {kernel.arch}, but for {" and ".join(known)}')
    program = kernel.dir / 'busybox'
    program.write_bytes(fetch.member(known[kernel.arch]))
    return program


def pack(kernel):
    return kernel.pack('initramfs-shell', [
        'dir /bin 0755 0 0', 'dir /tmp 1777 0 0',
        f'file /bin/busybox {busybox(kernel)} 0755 0 0'])


def start(machine, kernel, archive):
    say(f'{kernel.name} on {machine.name}: {machine.purpose}')
    boot.interact(machine, kernel.image, archive, 'quiet kunit.enable=0 -- shell')


def command(name, base='6.18'):
    machine = Machine(name)
    kernel = build.Kernel(Base(base), machine.arch).build()
    start(machine, kernel, pack(kernel))


if __name__ == '__main__':
    main(command, *sys.argv[1:])
