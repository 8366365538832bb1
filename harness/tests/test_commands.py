# SPDX-License-Identifier: GPL-2.0
import types

from harness import __main__ as commands
from harness import build
from harness.tests import Case

COHERENT, STALE, REFUSED = 'mapped, coherent', 'mapped, stale data: wrote 1', 'refused: no'


class Verdict(Case):
    """When make run may say that its table proves something."""

    def problems(self, rows, bounces=True):
        machine = types.SimpleNamespace(name='demo', bounces=bounces)
        stock = types.SimpleNamespace(problems=[])
        table = {('page', 'low', attribute): list(results) for attribute, *results in rows}
        return commands.not_shown(machine, stock, table)

    def test_corruption_and_refusal(self):
        self.assertEqual(self.problems([('none', STALE, STALE),
                                        ('REQUIRE_COHERENT', STALE, REFUSED)]), [])

    def test_nothing_tried(self):
        self.assertIn('demo: no mapping was tried', self.problems([]))

    def test_stale_data_with_the_series(self):
        self.assertEqual(len(self.problems([('REQUIRE_COHERENT', STALE, STALE)])), 1)

    def test_refusal_without_the_attribute(self):
        self.assertEqual(len(self.problems([('none', STALE, REFUSED),
                                            ('REQUIRE_COHERENT', STALE, REFUSED)])), 1)

    def test_missing_row(self):
        self.assertEqual(len(self.problems([('none', STALE, STALE),
                                            ('REQUIRE_COHERENT', '(did not run)', REFUSED)])), 1)

    def test_stock_that_never_bounces(self):
        rows = [('REQUIRE_COHERENT', COHERENT, COHERENT)]
        self.assertEqual(self.problems(rows), ['demo: the stock kernel never bounced'])
        self.assertEqual(self.problems(rows, bounces=False), [])

    def test_conclusion_counts_what_was_asked_for(self):
        rows = {('a', '', 'none'): [STALE, STALE], ('b', '', 'REQUIRE_COHERENT'): [STALE, REFUSED],
                ('c', '', 'REQUIRE_COHERENT'): [COHERENT, COHERENT]}
        self.assertIn('Of 2 mappings with REQUIRE_COHERENT, the stock kernel let 1 go through',
                      commands.conclusion([rows]))
        self.assertIn('refused 1 and mapped 1 coherently', commands.conclusion([rows]))


class Configuration(Case):
    def kernel(self):
        kernel = build.Kernel.__new__(build.Kernel)
        kernel.name, kernel.arch, kernel.dir = 'demo', 'x86_64', self.scratch
        kernel.source = kernel.log = self.scratch / 'log'
        return kernel

    def test_option_that_the_kernel_does_not_take_is_named(self):
        kernel = self.kernel()
        kernel.fragment = lambda: 'CONFIG_A=y\n# CONFIG_C is not set\nCONFIG_B=y\n'
        self.patch(build, 'run', lambda *a, **k: None)
        (self.scratch / '.config').write_text('CONFIG_A=y\n')
        self.fails('the kernel does not take CONFIG_B=y;', kernel.configure)

    def test_kunitconfig_of_another_architecture_is_left_out(self):
        self.assertTrue(build.is_for('drivers/a/tests/.kunitconfig', 'x86_64'))
        self.assertTrue(build.is_for('drivers/a/tests/all.kunitconfig', 'x86_64'))
        self.assertTrue(build.is_for('drivers/a/tests/x86_64.kunitconfig', 'x86_64'))
        self.assertFalse(build.is_for('drivers/a/tests/arm64.kunitconfig', 'x86_64'))

    def test_warning_in_our_code_is_a_failure(self):
        kernel = self.kernel()
        kernel.log = self.scratch / 'build.log'

        def run(command, log, *arguments, **options):
            log.write_text('a.c:1: warning: unused\n')
        self.patch(build, 'run', run)
        self.fails('a.c:1: warning: unused', kernel.run_quietly, ['make'], 'test module')

    def test_shell_does_not_configure_the_build(self):
        build.os.environ.update({'KCFLAGS': '-O0', 'LLVM': '1', 'MAKEFLAGS': '-k'})
        environment = self.kernel().environment()
        self.assertEqual(environment['KCFLAGS'], '')
        self.assertNotIn('LLVM', environment)
        self.assertNotIn('MAKEFLAGS', environment)
