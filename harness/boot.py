# SPDX-License-Identifier: GPL-2.0
"""Boot a kernel on one of the machines and keep its log."""

import concurrent.futures
import os
import subprocess
import sys
from pathlib import Path

from harness import xen
from harness.project import CACHE, JOBS, Failure, Machine, end_group, main, say

QEMU = {'arm64': 'qemu-system-aarch64'}
CONSOLE = {'arm64': 'ttyAMA0', 'arm': 'ttyAMA0', 's390x': 'ttysclp0'}
# Which processor runs an architecture's code as it is.
NATIVE = {'arm64': 'aarch64', 'i386': 'x86_64'}
TIMEOUT = 300
TRIAL_TIMEOUT = 20

# What the machines with most memory have, in bytes.
LARGEST_MACHINE = 5 << 30


def qemu(machine, accelerator, image, initrd, append, serial='stdio'):
    console = 'hvc0' if machine.hypervisor else CONSOLE.get(machine.arch, 'ttyS0')
    arguments = f'console={console} panic=-1 printk.devkmsg=on log_buf_len=4M {machine.append} {append}'.strip()
    return [QEMU.get(machine.arch, f'qemu-system-{machine.arch}'), '-accel', accelerator, *machine.qemu,
            '-display', 'none', '-monitor', 'none', '-serial', serial, '-nodefaults',
            '-no-reboot', *load(machine, image, initrd, arguments)]


def load(machine, image, initrd, arguments):
    """What QEMU starts: the kernel, or Xen with the kernel as its dom0."""
    if not machine.hypervisor:
        return ['-kernel', str(image), *(['-initrd', str(initrd)] if initrd else []),
                '-append', arguments]
    modules = [f'{image} {arguments}'] + ([str(initrd)] if initrd else [])
    # A comma separates modules unless it is doubled.
    return ['-kernel', str(xen.image(machine.hypervisor)),
            '-initrd', ','.join(module.replace(',', ',,') for module in modules),
            '-append', machine.hypervisor['append']]


# What has to end with this program, whichever of its threads waits for it.
running = set()


def end_all():
    for process in list(running):
        end_group(process)


def start(command, log, timeout):
    """Run QEMU until it ends; None if all is well, otherwise what went wrong."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, 'wb') as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, process_group=0)
        running.add(process)
        try:
            process.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            return f'did not power off within {timeout} s'
        finally:
            end_group(process)
            running.discard(process)
    if process.returncode:
        words = log.read_text(errors='replace').strip().splitlines()
        return f'{command[0]} ended with status {process.returncode}: {"".join(words[-1:])}'
    return None


def boot_id():
    return Path('/proc/sys/kernel/random/boot_id').read_text().strip()


def accelerator(machine, image):
    """KVM only if it has been seen to work: a nested one may hang the guest."""
    native = os.uname().machine == NATIVE.get(machine.arch, machine.arch)
    if not native or not os.access('/dev/kvm', os.R_OK | os.W_OK):
        return 'tcg'
    verdict = CACHE / 'kvm' / boot_id()
    if not verdict.exists():
        log = CACHE / 'log' / f'kvm-trial-{machine.arch}.log'
        # Without a root file system the kernel panics, and QEMU ends.
        wrong = start(qemu(machine, 'kvm', image, None, ''), log, TRIAL_TIMEOUT)
        works = not wrong and b'Kernel panic' in log.read_bytes()
        verdict.parent.mkdir(parents=True, exist_ok=True)
        verdict.write_text('kvm' if works else 'tcg')
        if not works:
            say('  /dev/kvm is there but does not run a guest: using emulation')
    return verdict.read_text()


class Boot:
    """One boot: the log it left, and what went wrong with it as a whole."""

    def __init__(self, log, wrong=None):
        self.log = Path(log)
        self.wrong = wrong

    def lines(self):
        # Not as text: that makes a line of its own of each carriage return, and Xen
        # puts one more in front of the one of the console.
        lines = self.log.read_bytes().decode(errors='replace').replace('\r', '').splitlines()
        return without_replays(lines)


def without_replays(lines):
    """The lines without those that an urgent message cut short: they come again, whole."""
    kept, again = [], False
    for line in lines:
        if '** replaying previous printk message **' in line:
            again = True
            continue
        if again and kept and line.startswith(kept[-1]):
            kept.pop()
        kept.append(line)
        again = False
    return kept


def boot(machine, kernel, initrd, append, log, timeout=TIMEOUT):
    wrong = start(qemu(machine, accelerator(machine, kernel), kernel, initrd, append),
                  Path(log), timeout)
    return Boot(log, wrong)


def at_a_time():
    """As many boots as there are processors, and memory for the largest machine."""
    pages = os.sysconf('SC_AVPHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    return max(1, min(JOBS, pages // LARGEST_MACHINE))


def some_at_a_time(function, boots):
    """What a function that boots returns for each of them, in their order."""
    with concurrent.futures.ThreadPoolExecutor(at_a_time()) as pool:
        try:
            yield from pool.map(function, boots)
        except BaseException:
            # Not after the boots that are under way, which may take minutes.
            pool.shutdown(wait=False, cancel_futures=True)
            end_all()
            raise


def interact(machine, kernel, initrd, append):
    """Run QEMU on the user's terminal until it ends."""
    # Ctrl-C is for the machine, and Ctrl-A X ends QEMU.
    command = qemu(machine, accelerator(machine, kernel), kernel, initrd, append, 'mon:stdio')
    command[command.index('-monitor'):command.index('-monitor') + 2] = []
    ended = subprocess.run(command).returncode
    if ended:
        raise Failure(f'{command[0]} ended with status {ended}')


def command(name, image, initrd=None, append=''):
    machine = Machine(name)
    for path in filter(None, (image, initrd)):
        if not Path(path).is_file():
            raise Failure(f'{path} does not exist: build it with python3 -m harness.build')
    log = CACHE / 'log' / f'boot-{name}.log'
    done = boot(machine, image, initrd, append, log)
    print('\n'.join(done.lines()))
    if done.wrong:
        raise Failure(f'{name}: {done.wrong}')


if __name__ == '__main__':
    main(command, *sys.argv[1:])
