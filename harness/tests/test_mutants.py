# SPDX-License-Identifier: GPL-2.0
import itertools
import shutil
import subprocess
import textwrap

from harness import mutants
from harness.mutate import PARTS
from harness.tests import Case


def writer_of(body, lines=None, name='demo.c'):
    """The writer for a function with some statements, all lines of which are new."""
    text = f'int f(int a, int b)\n{{\n{textwrap.dedent(body)}}}\n'
    return mutants.Writer(name, text, lines or set(range(1, text.count('\n') + 1))).read()


def whats(body, lines=None):
    return [mutant.what for mutant in writer_of(body, lines).mutants]


class Found(Case):
    """What is broken in a piece of C."""

    def test_condition(self):
        self.assertEqual(whats('if (a)\ng();\n'), ['false for a', 'true for a', 'without g();'])

    def test_each_part_of_a_condition(self):
        self.assertEqual(whats('if (a && !b)\n;\n'),
                         ['false for a && !b', 'true for a', 'true for !b'])
        self.assertEqual(whats('if (a || (b && c))\n;\n'),
                         ['true for a || (b && c)', 'false for a', 'false for b && c',
                          'true for b', 'true for c'])

    def test_loops_are_not_made_endless_on_purpose(self):
        self.assertEqual(whats('while (a < b)\n;\n'), ['false for a < b', '<= for < in a < b'])
        self.assertEqual(whats('while (1)\nbreak;\n'), ['without break;'])

    def test_arithmetic(self):
        self.assertEqual(whats('a = b + 2 * c;\n'),
                         ['without a = b + 2 * c;', '- for + in b + 2 * c', '+ for * in 2 * c',
                          '2 + 1 for 2 in a = b + 2 * c'])

    def test_not_a_pointer_nor_an_address_nor_a_sign(self):
        self.assertEqual(whats('g(*a, &b, -c);\n'), ['without g(*a, &b, -c);'])

    def test_flags(self):
        self.assertEqual(whats('g(ONE | TWO, THREE);\n'),
                         ['without g(ONE | TWO, THREE);', '0 for ONE in g(ONE | TWO, THREE)',
                          '0 for TWO in g(ONE | TWO, THREE)', '0 for THREE in g(ONE | TWO, THREE)'])

    def test_where_memory_comes_from(self):
        self.assertEqual(whats('g(GFP_ATOMIC | __GFP_NOWARN, NULL, DMA_BIDIRECTIONAL);\n'),
                         ['without g(GFP_ATOMIC | __GFP_NOWARN, NULL, DMA_BIDIRECTIONAL);'])

    def test_names_of_options(self):
        self.assertEqual(whats('g(IS_ENABLED(CONFIG_SWIOTLB) ? 1 : b);\n'),
                         ['without g(IS_ENABLED(CONFIG_SWIOTLB) ? 1 : b);',
                          'false for IS_ENABLED(CONFIG_SWIOTLB)',
                          'true for IS_ENABLED(CONFIG_SWIOTLB)',
                          '1 + 1 for 1 in g(IS_ENABLED(CONFIG_SWIOTLB) ? 1 : b)'])

    def test_returned(self):
        self.assertEqual(whats('return -EINVAL;\n'), ['0 for -EINVAL in return -EINVAL',
                                                      'another errno for -EINVAL in return -EINVAL'])
        self.assertEqual(whats('return 0;\n'), ['return -EIO for return 0'])
        self.assertEqual(whats('return true;\n'), ['false for true in return true'])
        self.assertEqual(whats('return a == b;\n'), ['false for a == b', 'true for a == b'])
        self.assertEqual(whats('return g(a);\n'), ['return 0 for return g(a)'])

    def test_what_a_variable_starts_with(self):
        self.assertEqual(whats('size_t i, n = 0;\n'), ['0 + 1 for 0 in size_t i, n = 0'])
        self.assertEqual([what[:11] for what in whats('struct s x = { .a = 1, .b = { 2 } };\n')],
                         ['1 + 1 for 1', '2 + 1 for 2'])

    def test_no_constants_where_they_cannot_be_mutated(self):
        self.assertEqual(whats('static int x = 1;\nint y[3];\nswitch (a) {\ncase 4:\nbreak;\n}\n'),
                         ['without break;'])

    def test_casts_and_macros_with_types(self):
        self.assertEqual(whats('a = (u64)b;\nb = min_t(u64, a, c);\nd = container_of(a, struct s, m);\n'),
                         ['without a = (u64)b;', 'without b = min_t(u64, a, c);',
                          'without d = container_of(a, struct s, m);'])

    def test_only_lines_that_are_new(self):
        self.assertEqual(whats('g(1);\ng(2);\n', {4}), ['without g(2);', '2 + 1 for 2 in g(2)'])

    def test_messages_are_left_alone_and_warnings_are_not(self):
        self.assertEqual(whats('pr_info("%d", 1);\ncond_resched();\n'), [])
        self.assertEqual(whats('WARN_ON(a);\n'),
                         ['without WARN_ON(a);', 'false for a', 'true for a'])

    def test_guards_live_on(self):
        self.assertEqual(whats('guard(mutex)(&m);\n'), [])

    def test_macro_loops(self):
        self.assertEqual(whats('for_each(a, b)\ng();\n'), ['without g();'])

    def test_comments_and_directives(self):
        self.assertEqual(whats('/* if (x) */\n#if 1 + 2\na = b; // 3\n'), ['without a = b;'])

    def test_what_a_macro_stands_for(self):
        text = ('#define GUARD\n#define MAX 7\n#define BOTH(x) \\\n\t(ONE | \\\n\t TWO)\n'
                '#define LATER(a) ((a) + 1)\n#define LOOP() do { } while (0)\n')
        writer = mutants.Writer('demo.c', text, {1, 2, 4, 5, 7}).read()
        self.assertEqual([(mutant.function, mutant.line, mutant.what) for mutant in writer.mutants],
                         [('#define MAX', 2, '7 + 1 for 7 in 7'),
                          ('#define BOTH', 4, '0 for ONE in (ONE | TWO)'),
                          ('#define BOTH', 5, '0 for TWO in (ONE | TWO)')])
        self.assertEqual([function for _, function, _, _ in writer.unparsed], ['#define LOOP'])
        self.assertIn('#define MAX MUTANT_MORE(5, 7)\n#define BOTH(x) \\\n\t(MUTANT_INSTEAD(6, 0, ONE) | \\\n',
                      writer.written(5)[0])
        self.assertEqual(mutants.Writer('demo.h', text, {2}).read().mutants, [])

    def test_what_is_not_understood_is_said(self):
        writer = writer_of('a b c d;\ng();\n')
        self.assertEqual([words for _, _, words, _ in writer.unparsed], ['a b c d;'])
        self.assertEqual([mutant.what for mutant in writer.mutants], ['without g();'])

    def test_lines_of_a_diff(self):
        diff = '--- a/x.c\n+++ b/x.c\n@@ -1 +1,2 @@\n+a\n+b\n@@ -9,2 +10,0 @@\n-c\n@@ -20 +20 @@\n+d\n'
        self.assertEqual(mutants.changed_lines(diff), {'x.c': {1, 2, 20}})


class Written(Case):
    """All mutants in one file."""

    def test_places(self):
        writer = writer_of('if (a < 1)\nreturn 0;\n')
        text, places = writer.written(1)
        self.assertEqual([text[first:last] for first, last in places.values()],
                         ['MUTANT_FALSE(1, MUTANT_TRUE(2, MUTANT_OP(3, <, <=, a , MUTANT_MORE(4, 1))))',
                          'MUTANT_TRUE(2, MUTANT_OP(3, <, <=, a , MUTANT_MORE(4, 1)))',
                          'MUTANT_OP(3, <, <=, a , MUTANT_MORE(4, 1))', 'MUTANT_MORE(4, 1)',
                          'MUTANT_INSTEAD(5, -5, 0)'])

    def test_a_mutant_left_out_keeps_its_number(self):
        writer = writer_of('g();\nh();\n')
        again = mutants.Writer(writer.name, writer.source, writer.lines).read(writer.mutants[:1])
        self.assertEqual(again.mutants, writer.mutants)
        text, places = again.written(7)
        self.assertIn('\ng();\n{ if (!mutated(8)) { h(); } }\n', text)
        self.assertEqual(list(places), [1])

    def test_lines_stay_where_they_are(self):
        writer = writer_of('if (a &&\nb)\ng(1,\n2);\nelse\nh();\n')
        self.assertEqual(writer.written(1)[0].count('\n'), writer.source.count('\n') + 1)

    def test_each_does_what_it_says(self):
        """Compiled and run: with no mutant as without the tool, with each another answer."""
        if not shutil.which('gcc'):
            self.skipTest('no gcc')
        body = '''
            int i, sum = 2;

            for (i = 0; i < 4; i++) {
                if (i == 2 && (a > 1 || b != 0))
                    continue;
                sum += a * i - (b & 6) + (i << 1);
            }
            if (!sum)
                return -1;
            else
                sum |= 0x100;
            return sum ? sum + b : 0;
            '''
        writer = writer_of(body, name='f.c')
        text, _ = writer.written(1)
        program = f'''
            #include <stdio.h>
            #include <stdlib.h>
            {(PARTS / 'mutant.h').read_text()}
            unsigned int mutant_number, mutant_reached[100], uses;
            _Bool mutant_lives(void) {{ return ++uses < 1000; }}
            {text.replace('#include <linux/mutant.h>', '')}
            int main(void)
            {{
                int a, b;
                for (mutant_number = 0; mutant_number <= {len(writer.mutants)}; mutant_number++) {{
                    for (a = 0; a < 4; a++)
                        for (b = -3; b < 8; b++)
                            uses = 0, printf("%d ", f(a, b));
                    puts("");
                }}
            }}'''
        source = self.scratch / 'demo.c'
        source.write_text(program)
        subprocess.run(['gcc', '-O1', '-o', self.scratch / 'demo', source], check=True)
        right, *wrong = subprocess.run([self.scratch / 'demo'], capture_output=True, text=True,
                                       check=True).stdout.splitlines()
        self.assertEqual(len(wrong), len(writer.mutants))

        def original(a, b):
            total = 2 + sum(a * i - (b & 6) + (i << 1) for i in range(4)
                            if not (i == 2 and (a > 1 or b != 0)))
            return -1 if not total else (total | 0x100) + b
        self.assertEqual([int(word) for word in right.split()],
                         [original(a, b) for a, b in itertools.product(range(4), range(-3, 8))])
        same = [mutant.what for mutant, output in zip(writer.mutants, wrong) if output == right]
        # Nothing but 0 makes the last of these 0, since a bit is always set by then.
        self.assertEqual(same, ['true for sum', 'return 0 for return sum ? sum + b : 0',
                                '0 + 1 for 0 in return sum ? sum + b : 0'][::2])
