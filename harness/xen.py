# SPDX-License-Identifier: GPL-2.0
"""Get the Xen hypervisor from the distribution, without installing it."""

import gzip
import sys
import zlib
from pathlib import Path

from harness import fetch
from harness.project import CACHE, Failure, Machine, main, say

INSTALLED = Path('/')


def packed(source):
    """The hypervisor as distributions ship it; one that is installed is second choice."""
    installed = INSTALLED / source['member']
    try:
        return fetch.member(source)
    except Failure as reason:
        if installed.exists():
            return installed.read_bytes()
        name = source['package'].partition('=')[0]
        raise Failure(f'{reason}; machines that need Xen can do with an installed one: '
                      f'"apt-get install {name}" as root') from reason


def image(source):
    """The file that QEMU loads.

    Installing the package would have the boot menu of this system start Xen.
    """
    target = CACHE / 'xen' / source['sha256'][:12]
    if target.exists():
        return target
    try:
        content = gzip.decompress(packed(source))
    except (OSError, EOFError, zlib.error) as error:
        raise Failure(f'{source["member"]} cannot be unpacked: {error}') from error
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix('.part')
    part.write_bytes(content)
    return part.replace(target)


def show(name):
    say(str(image(Machine(name).hypervisor)))


if __name__ == '__main__':
    main(show, *sys.argv[1:])
