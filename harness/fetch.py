# SPDX-License-Identifier: GPL-2.0
"""Get the source of a base kernel: from the cache, kernel.org or the distribution."""

import hashlib
import http.client
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from pathlib import Path

from harness import packages
from harness.project import CACHE, Base, Failure, main, output_of, run, say

KEYRING = Path('/usr/share/keyrings/debian-archive-keyring.gpg')


def sha256(path):
    with open(path, 'rb') as data:
        return hashlib.file_digest(data, 'sha256').hexdigest()


def verify(path, source, origin):
    """A file that is not what it should be must not stay where it would be used."""
    found = sha256(path)
    if found != source['sha256']:
        size = path.stat().st_size
        path.unlink()
        raise Failure(f'{origin} is truncated or has changed: {size} bytes with sha256 '
                      f'{found[:16]}..., expected {source["sha256"][:16]}...')
    return path


def mirror():
    """The Debian mirror that this system uses, as apt itself understands its sources."""
    if not shutil.which('apt-get'):
        raise Failure('there is no apt-get here to ask for a mirror')
    targets = output_of(['apt-get', 'indextargets', '--format',
                         '$(CREATED_BY) $(COMPONENT) $(RELEASE) $(ORIGIN) $(REPO_URI)'])
    found = [words[-1] for words in map(str.split, targets.splitlines())
             if words[:2] == ['Packages', 'main'] and 'security' not in words[2]
             and words[3] == 'Debian']
    if not found:
        # Before the first apt-get update there are sources, but no targets.
        uris = output_of(['apt-get', '--print-uris', 'update'])
        found = [uri for uri, suite in re.findall(r"^'(\S+/)dists/([^/']+)", uris, re.M)
                 if uri.rstrip('/').endswith('/debian') and 'security' not in suite]
    if not found:
        raise Failure("this system's package sources name no Debian mirror")
    return found[0]


class PrivateApt:
    """An apt of our own: the system's mirror, another suite, nothing of it shared."""

    def __init__(self, suite):
        self.dir = CACHE / 'apt' / suite
        for name in ('state/lists/partial', 'cache/archives/partial', 'download'):
            (self.dir / name).mkdir(parents=True, exist_ok=True)
        signed = f'[signed-by={KEYRING}] ' if KEYRING.exists() else ''
        where = f'{signed}{mirror()} {suite} main\n'
        (self.dir / 'sources.list').write_text(f'deb {where}deb-src {where}')
        (self.dir / 'status').touch()
        self.options = [option for setting in (
            f'Dir::State={self.dir}/state', f'Dir::State::status={self.dir}/status',
            f'Dir::Cache={self.dir}/cache', f'Dir::Etc::SourceList={self.dir}/sources.list',
            'Dir::Etc::SourceParts=/dev/null', 'Dir::Etc::PreferencesParts=/dev/null',
            'Dir::Etc::Preferences=/dev/null', 'APT::Sandbox::User=root',
            'APT::Update::Error-Mode=any',
            # Whatever this system is, packages for the machines have to be found.
            'APT::Architectures::=amd64', 'APT::Architectures::=arm64',
        ) for option in ('-o', setting)]

    def get(self, *arguments):
        log = self.dir / 'apt.log'
        try:
            run(['apt-get', *self.options, *arguments], log, f'apt-get {arguments[0]}',
                quiet=True, cwd=self.dir / 'download')
        except Failure as failure:
            reasons = [line[3:] for line in log.read_text(errors='replace').splitlines()
                       if line.startswith('E: ')]
            raise Failure(f'apt-get {arguments[0]}: ' + (reasons or [f'see {log}'])[0]) from failure

    def download(self, source):
        self.get('update')
        part = {'debian-source': '--tar-only', 'debian-packaging': '--diff-only'}
        if source['kind'] in part:
            self.get('source', '--download-only', part[source['kind']], source['package'])
        else:
            self.get('download', source['package'])
        return self.dir / 'download' / source['file']


def from_kernel_org(source, target):
    part = target.with_suffix('.part')
    try:
        with urllib.request.urlopen(source['url'], timeout=20) as answer, open(part, 'wb') as file:
            shutil.copyfileobj(answer, file, 1 << 20)
    except (OSError, http.client.HTTPException) as error:
        part.unlink(missing_ok=True)
        reason = getattr(error, 'reason', error)
        raise Failure(f'{source["url"]}: {reason}') from error
    return part


def from_debian(source, target):
    return PrivateApt(source['suite']).download(source)


def download(source, target):
    getters = {'kernel.org': from_kernel_org, 'debian-source': from_debian,
               'debian-packaging': from_debian, 'debian-binary': from_debian}
    got = getters[source['kind']](source, target)
    verify(got, source, f'{source["file"]} from {source["kind"]}')
    got.replace(target)
    return target


def kept(path, source):
    """A file from an earlier run, if it is still what it should be."""
    if not path.exists():
        return None
    try:
        return verify(path, source, f'{path}, kept from an earlier run,')
    except Failure as reason:
        say(f'  {reason}; fetching it again')
        return None


def tarball(version, sources):
    """The path of a verified archive of this version, and its description."""
    packages.ensure(packages.BUILD)
    store = CACHE / 'sources'
    store.mkdir(parents=True, exist_ok=True)
    reasons = []
    for source in sources:
        cached = kept(store / source['file'], source)
        if cached:
            return cached, source
    for source in sources:
        try:
            say(f'  fetch Linux {version}: trying {source["kind"]}')
            return download(source, store / source['file']), source
        except Failure as reason:
            reasons.append(str(reason))
    raise Failure(f'no source of Linux {version} could be had: ' + '; '.join(reasons))


def package(source):
    """A Debian package, verified, from the cache or from the archive."""
    target = CACHE / 'sources' / source['file']
    target.parent.mkdir(parents=True, exist_ok=True)
    if kept(target, source):
        return target
    say(f'  fetch {source["package"]}')
    return download(source, target)


def member(source):
    """The one file of a Debian package that is wanted; nothing is installed."""
    archive = package(source)
    with tempfile.TemporaryDirectory() as scratch:
        output_of(['dpkg-deb', '--extract', str(archive), scratch])
        return (Path(scratch) / source['member']).read_bytes()


def unpack(archive, target, source=None):
    """Unpack an archive of a kernel tree into an empty directory."""
    target.mkdir(parents=True)
    if source and source['kind'] == 'debian-binary':
        output_of(['dpkg-deb', '--extract', str(archive), str(target / 'deb')])
        inner = target / 'deb' / source['member']
        unpack_tar(inner, target / 'tree')
        shutil.rmtree(target / 'deb')
        for entry in (target / 'tree').iterdir():
            entry.rename(target / entry.name)
        (target / 'tree').rmdir()
        return
    unpack_tar(archive, target)


def unpack_tar(archive, target):
    target.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(['tar', '--extract', '--strip-components=1', '--no-same-owner',
                           '--file', str(archive), '--directory', str(target)],
                          capture_output=True, text=True, errors='replace')
    if done.returncode:
        why = done.stderr.strip().splitlines()
        raise Failure(f'{archive} cannot be unpacked, it is truncated or no tar archive: '
                      + (why[0] if why else f'tar ended with {done.returncode}'))


def extract(archive, source, names, target):
    """Unpack a few files of a kernel tree."""
    if source['kind'] == 'debian-binary':
        with tempfile.TemporaryDirectory() as scratch:
            output_of(['dpkg-deb', '--extract', str(archive), scratch])
            return extract_tar(Path(scratch) / source['member'], names, target)
    return extract_tar(archive, names, target)


def extract_tar(archive, names, target):
    with tarfile.open(archive, 'r|*') as tar:
        for member in tar:
            name = member.name.partition('/')[2]
            if name in names and member.isfile():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (target / name).write_bytes(tar.extractfile(member).read())


def given():
    """The kernel that the user wants instead, from KERNEL=."""
    name = os.environ.get('KERNEL')
    if not name:
        return None
    path = Path(os.path.expanduser(name)).resolve()
    if not path.exists():
        raise Failure(f'KERNEL={name} does not exist')
    return path


def show(name):
    base = Base(name)
    say(str(tarball(base.version, base.sources)[0]))


if __name__ == '__main__':
    main(show, *sys.argv[1:])
