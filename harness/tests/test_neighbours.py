# SPDX-License-Identifier: GPL-2.0
import os

from harness import fetch, neighbours, packages
from harness.tests import DRIVER, KernelCase

SPELL, TEST = 'driver-spell-ten.patch', 'driver-add-a-test.patch'


class Neighbours(KernelCase):
    """A kernel next to the base of the tests, of which a tarball is in the cache."""

    def setUp(self):
        super().setUp()
        self.patch(packages, 'ensure', lambda *tables: None)

    def neighbour(self, version, driver):
        tree = self.make_kernel(f'linux-{version}', 6, 17, 1)
        (tree / 'driver.c').write_text(driver)
        archive = self.tarball(f'{version}.tar', tree)
        self.base.neighbours.append({'version': version, 'source': [
            {'kind': 'kernel.org', 'file': archive.name, 'url': archive.as_uri(),
             'sha256': fetch.sha256(archive)}]})

    def record(self):
        os.environ['RECORD'] = '1'
        self.assertEqual(neighbours.check(self.base), [])
        del os.environ['RECORD']

    def lines(self):
        return [line.split(maxsplit=1)[1] for line in self.output.getvalue().splitlines()
                if line.startswith('  6.17')]

    def test_a_line_for_each_patch(self):
        self.neighbour('6.17.1', DRIVER)
        self.neighbour('6.17.2', DRIVER.replace('line 10', 'line ten'))
        self.neighbour('6.17.3', DRIVER.replace('line 9', 'line nine'))
        self.record()
        self.assertEqual(self.lines(), [
            'applies        driver-spell-ten', 'applies        driver-add-a-test',
            'already there  driver-spell-ten', 'applies        driver-add-a-test',
            'conflicts      driver-spell-ten: patch failed: driver.c:7',
            'applies        driver-add-a-test'])
        self.assertEqual(neighbours.check(self.base), [])

    def test_offset_is_no_conflict_but_fuzz_is(self):
        self.neighbour('6.17.1', DRIVER.replace('line 7\n', 'line 6.5\nline 7\n'))
        self.neighbour('6.17.2', DRIVER.replace('line 7\n', 'line seven\n'))
        self.record()
        self.assertEqual([line.split()[0] for line in self.lines()],
                         ['applies', 'applies', 'conflicts', 'applies'])

    def test_patch_that_mainline_has_otherwise_is_there(self):
        self.base.unneeded = [{'patch': SPELL, 'commit': '123456789abc', 'file': 'driver.c',
                             'has': 'line X'}]
        self.neighbour('6.17.1', DRIVER.replace('line 10', 'line X'))
        self.record()
        self.assertEqual(self.lines()[0],
                         'already there  driver-spell-ten: it has mainline commit 123456789abc')

    def test_later_patch_meets_what_earlier_ones_left(self):
        text = (self.work / 'driver.c').read_text()
        self.commit('driver: spell ten anew\n\nOne letter is less to read than three of them, '
                    'and no less clear.', {'driver.c': text.replace('line ten', 'line X')})
        self.neighbour('6.17.1', DRIVER)
        self.neighbour('6.17.3', DRIVER.replace('line 9', 'line nine'))
        self.record()
        self.assertEqual([line.split()[0] for line in self.lines()],
                         ['applies'] * 3 + ['conflicts', 'applies', 'conflicts'])

    def test_other_verdict_than_on_record_is_a_problem(self):
        self.neighbour('6.17.1', DRIVER)
        self.record()
        known = neighbours.known_file(self.base)
        known.write_text(known.read_text().replace(f'"{SPELL}" = "applies"',
                                                   f'"{SPELL}" = "conflicts"'))
        problems = neighbours.check(self.base)
        self.assertEqual(len(problems), 1)
        self.assertIn(f'6.17.1: {SPELL} applies, but', problems[0])
        self.assertIn('neighbours.toml says conflicts: make that right, or "make check '
                      'BASE=6.18 RECORD=1"', problems[0])

    def test_patch_that_came_or_went_is_a_problem(self):
        self.neighbour('6.17.1', DRIVER)
        self.record()
        known = neighbours.known_file(self.base)
        known.write_text(known.read_text().replace(SPELL, 'driver-gone.patch'))
        problems = '\n'.join(neighbours.check(self.base))
        self.assertIn(f'{SPELL} applies, but', problems)
        self.assertIn('says nothing', problems)
        self.assertIn('tells of 6.17.1 and driver-gone.patch, which is no patch', problems)

    def test_record_of_no_neighbour_is_a_problem(self):
        self.neighbour('6.17.1', DRIVER)
        self.record()
        self.base.neighbours[0]['version'] = '6.17.4'
        self.assertIn('tells of 6.17.1, which is no neighbour',
                      '\n'.join(neighbours.check(self.base)))

    def test_neighbour_that_cannot_be_had_is_a_problem(self):
        self.neighbour('6.17.1', DRIVER)
        self.neighbour('6.17.2', DRIVER)
        (self.scratch / '6.17.2.tar').unlink()
        os.environ['RECORD'] = '1'
        problems = neighbours.check(self.base)
        self.assertEqual(len(problems), 1)
        self.assertIn('6.18: nothing is known about 6.17.2: no source of', problems[0])
        self.assertFalse(neighbours.known_file(self.base).exists())

    def test_unpacks_once(self):
        self.neighbour('6.17.1', DRIVER)
        self.record()
        (self.scratch / '6.17.1.tar').unlink()
        (self.cache / 'sources' / '6.17.1.tar').unlink()
        self.assertEqual(neighbours.check(self.base), [])

    def test_file_of_a_debian_package(self):
        inner = self.tarball('linux.tar', self.kernel)
        unpacked = {}

        def output_of(command):
            unpacked['target'] = command[-1]
            (self.scratch / 'linux.tar').rename(f'{command[-1]}/inner.tar')
        self.patch(fetch, 'output_of', output_of)
        fetch.extract(inner, {'kind': 'debian-binary', 'member': 'inner.tar'}, {'driver.c'},
                      self.scratch / 'some')
        self.assertEqual((self.scratch / 'some' / 'driver.c').read_text(), DRIVER)
        self.assertFalse((self.scratch / 'some' / 'Makefile').exists())
        self.assertFalse(os.path.exists(unpacked['target']))
