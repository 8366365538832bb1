# SPDX-License-Identifier: GPL-2.0
"""Find what may be broken in the lines of C that a series adds, and write it so that one kernel
holds all of the mutants, of which a number that is set at run time is the one that lives.

No library of the standard one reads C, and Coccinelle does not transform a place twice, so this
has a parser of its own. It knows statements and expressions and no types: what does not compile
is for the caller to leave out.
"""

import bisect
import collections
import re

TOKEN = re.compile(r'''
    (?P<skip>\s+|/\*.*?\*/|//[^\n]*|\\\n)
  | (?P<directive>^[ \t]*\#(?:\\\n|/\*.*?\*/|[^\n])*)
  | (?P<string>L?"(?:\\.|[^"\\])*"|L?'(?:\\.|[^'\\])*')
  | (?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<op>\.\.\.|<<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|.)
''', re.X | re.S | re.M)

Token = collections.namedtuple('Token', 'kind text start end')

BINARY = {op: level for level, ops in enumerate((
    ('||',), ('&&',), ('|',), ('^',), ('&',), ('==', '!='), ('<', '>', '<=', '>='),
    ('<<', '>>'), ('+', '-'), ('*', '/', '%')), 1) for op in ops}
ASSIGN = {'=', '+=', '-=', '*=', '/=', '%=', '&=', '|=', '^=', '<<=', '>>='}
UNARY = {'-', '+', '!', '~', '*', '&', '++', '--'}

# What takes the place of an operator.
SWAPPED = {'<': '<=', '<=': '<', '>': '>=', '>=': '>', '+': '-', '-': '+', '<<': '>>', '>>': '<<',
           '&': '|', '|': '&', '^': '&', '*': '+', '/': '*', '%': '/'}
LOGICAL = {'==', '!=', '<', '>', '<=', '>=', '&&', '||'}

TYPE_WORDS = set('''struct union enum const volatile unsigned signed long int short char void bool
    static extern register auto inline __always_inline __auto_type typeof __typeof__ u8 u16 u32 u64
    s8 s16 s32 s64 __u8 __u16 __u32 __u64 __le16 __le32 __le64 __be16 __be32 __be64
    __maybe_unused'''.split())
KEYWORDS = set('if else for while do switch case default return goto break continue'.split())

# Declares something that lives until the end of the block.
DECLARES = re.compile(r'(?:guard|CLASS|DEFINE_\w+|DECLARE_\w+|LIST_HEAD|\w*BUILD_BUG\w*|static_assert)$')
# Says something to people, or asserts what holds anyway: nothing in the results depends on it.
SAYS = re.compile(r'(?:pr_\w+|dev_(?!WARN)\w+|ibdev_\w+|pci_(?:info|warn|err|dbg)|might_\w+|cond_resched|'
                  r'\w*assert_\w+|err_printk|printk\w*|kunit_\w+|rcu_read_\w*lock|WARN\w*|dev_WARN\w*)$')
WARNS = re.compile(r'WARN\w*$|dev_WARN\w*$|err_printk$')

# Asks for the name of an option.
CONFIGURED = re.compile(r'IS_(?:ENABLED|BUILTIN|MODULE|REACHABLE)$')


class Cannot(Exception):
    """The parser does not understand what it reads."""


class Node:
    """An expression, or a statement that may be dropped."""

    def __init__(self, kind, first, last, kids=(), op=None):
        self.kind = kind
        self.first = first
        self.last = last
        self.kids = list(kids)
        self.op = op

    def bare(self):
        return self.kids[0].bare() if self.kind == 'paren' else self


Mutant = collections.namedtuple('Mutant', 'file function line what span')


def tokenize(text):
    """The tokens of C, without comments and directives."""
    found, at = [], 0
    while at < len(text):
        match = TOKEN.match(text, at)
        # Only at the start of a line does a # begin a directive.
        if match.lastgroup not in ('skip', 'directive'):
            found.append(Token(match.lastgroup, match[0], match.start(), match.end()))
        at = match.end()
    return found


def compiled(text):
    """What a compiler makes something of, however it is laid out and commented."""
    return '\n'.join(match[0] for match in TOKEN.finditer(text) if match.lastgroup != 'skip')


def functions(tokens):
    """The name of each function, and the tokens of its body with the braces."""
    depth, at = 0, 0
    while at < len(tokens):
        text = tokens[at].text
        if text == '{' and depth == 0:
            end = closing(tokens, at)
            back = at - 1
            # Attributes and annotations may stand behind the parameters.
            while back > 0 and tokens[back].kind == 'name':
                back -= 1
            if tokens[back].text == ')':
                opened = opening(tokens, back)
                if opened and tokens[opened - 1].kind == 'name':
                    yield tokens[opened - 1].text, at, end
            at = end
        at += 1


DEFINE = re.compile(r'[ \t]*#[ \t]*define[ \t]+(\w+)(?:\([^)]*\))?')


def macros(text):
    """The name of each macro that is defined, and the tokens of what it stands for."""
    for match in TOKEN.finditer(text):
        found = match.lastgroup == 'directive' and DEFINE.match(match[0])
        if found:
            start, end = match.start() + found.end(), match.end()
            body = [token._replace(start=token.start + start, end=token.end + start)
                    for token in tokenize(text[start:end])]
            if body:
                yield found[1], [*body, Token('op', ';', end, end)]


PAIRS = {'(': ')', '[': ']', '{': '}'}


def closing(tokens, at):
    depth = 0
    for index in range(at, len(tokens)):
        if tokens[index].text in PAIRS and tokens[index].kind == 'op':
            depth += 1
        elif tokens[index].text in PAIRS.values() and tokens[index].kind == 'op':
            depth -= 1
            if not depth:
                return index
    raise Cannot('a bracket that is not closed')


def opening(tokens, at):
    depth = 0
    for index in range(at, -1, -1):
        if tokens[index].text == ')':
            depth += 1
        elif tokens[index].text == '(':
            depth -= 1
            if not depth:
                return index
    return None


class Parser:
    """Statements and expressions of one function body, by recursive descent."""

    def __init__(self, tokens, at, writer):
        self.tokens = tokens
        self.at = at
        self.writer = writer

    def text(self, ahead=0):
        index = self.at + ahead
        return self.tokens[index].text if index < len(self.tokens) else ''

    def kind(self, ahead=0):
        index = self.at + ahead
        return self.tokens[index].kind if index < len(self.tokens) else ''

    def take(self, text):
        if self.text() != text:
            raise Cannot(f'"{self.text()}" where "{text}" was expected')
        self.at += 1

    def skip_pair(self):
        self.at = closing(self.tokens, self.at) + 1

    # Expressions

    def expression(self):
        left = self.assignment()
        while self.text() == ',':
            self.at += 1
            right = self.assignment()
            left = Node('comma', left.first, right.last, [left, right])
        return left

    def assignment(self):
        left = self.ternary()
        if self.text() in ASSIGN:
            op = self.text()
            self.at += 1
            right = self.assignment()
            return Node('assign', left.first, right.last, [left, right], op)
        return left

    def ternary(self):
        condition = self.binary(1)
        if self.text() != '?':
            return condition
        self.at += 1
        if self.text() == ':':
            self.at += 1
            other = self.ternary()
            return Node('elvis', condition.first, other.last, [condition, other])
        middle = self.expression()
        self.take(':')
        other = self.ternary()
        return Node('ternary', condition.first, other.last, [condition, middle, other])

    def binary(self, level):
        left = self.unary()
        while BINARY.get(self.text(), 0) >= level and self.kind() == 'op':
            op = self.at
            self.at += 1
            right = self.binary(BINARY[self.tokens[op].text] + 1)
            left = Node('binary', left.first, right.last, [left, right], op)
        return left

    def unary(self):
        first = self.at
        text = self.text()
        if self.kind() == 'op' and text in UNARY:
            self.at += 1
            kid = self.unary()
            return Node('unary', first, kid.last, [kid], text)
        if text in ('sizeof', 'typeof', '__alignof__', 'offsetof', '__typeof__'):
            self.at += 1
            if self.text() == '(':
                self.skip_pair()
            else:
                self.unary()
            return Node('other', first, self.at - 1)
        if text == '(' and self.is_type(self.at + 1, closing(self.tokens, self.at)):
            self.skip_pair()
            if self.text() == '{':
                self.skip_pair()
                return Node('other', first, self.at - 1)
            kid = self.unary()
            return Node('cast', first, kid.last, [kid])
        return self.postfix()

    def is_type(self, first, end):
        words = [token.text for token in self.tokens[first:end]]
        if not words or self.tokens[first].kind != 'name':
            return False
        if not all(word == '*' or token.kind == 'name'
                   for word, token in zip(words, self.tokens[first:end])):
            return False
        return words[0] in TYPE_WORDS or words[0].endswith('_t') \
            or words[-1] == '*' and words[0] not in KEYWORDS

    def postfix(self):
        first = self.at
        kind, text = self.kind(), self.text()
        if kind == 'number':
            self.at += 1
            node = Node('number', first, first)
        elif kind == 'string':
            while self.kind() == 'string' or self.kind() == 'name' and self.text().isupper():
                self.at += 1
            node = Node('other', first, self.at - 1)
        elif kind == 'name':
            if text in KEYWORDS or text in TYPE_WORDS:
                raise Cannot(f'"{text}" in an expression')
            self.at += 1
            node = Node('name', first, first)
        elif text == '(' and self.text(1) == '{':
            self.skip_pair()
            node = Node('other', first, self.at - 1)
        elif text == '(':
            self.at += 1
            inner = self.expression()
            self.take(')')
            node = Node('paren', first, self.at - 1, [inner])
        else:
            raise Cannot(f'"{text}" in an expression')
        while True:
            text = self.text()
            if text == '(':
                arguments = self.arguments()
                node = Node('call', first, self.at - 1, [node, *arguments])
            elif text == '[':
                self.at += 1
                index = self.expression()
                self.take(']')
                node = Node('index', first, self.at - 1, [node, index])
            elif text in ('.', '->'):
                self.at += 2
                node = Node('member', first, self.at - 1, [node])
            elif text in ('++', '--'):
                self.at += 1
                node = Node('step', first, self.at - 1, [node], text)
            else:
                return node

    def arguments(self):
        """Of a call or a macro, which may take what is no expression."""
        end = closing(self.tokens, self.at)
        self.at += 1
        found = []
        while self.at < end:
            start = self.at
            try:
                node = self.assignment()
                if self.text() not in (',', ')') or self.at > end:
                    raise Cannot('an argument that is no expression')
                found.append(node)
            except Cannot:
                self.at = start
                while self.at < end and self.text() != ',':
                    if self.text() in PAIRS:
                        self.skip_pair()
                    else:
                        self.at += 1
            if self.at < end:
                self.take(',')
        self.at = end + 1
        return found

    # Statements

    def block(self):
        self.take('{')
        while self.text() != '}':
            self.statement()
        self.at += 1

    def statement(self):
        start = self.at
        try:
            self.known_statement()
        except Cannot as why:
            # Up to the end of what is not understood; the writer says so.
            self.at = start
            while self.text() not in (';', '{', '}', ''):
                if self.text() in ('(', '['):
                    self.skip_pair()
                else:
                    self.at += 1
            if self.text() == ';':
                self.at += 1
            elif self.text() == '{':
                self.block()
            self.writer.not_parsed(start, self.at - 1, str(why))

    def parenthesis(self):
        self.take('(')
        node = self.expression()
        self.take(')')
        return node

    def known_statement(self):
        first, text, write = self.at, self.text(), self.writer
        if text == '{':
            self.block()
        elif text == ';':
            self.at += 1
        elif text == 'if':
            self.at += 1
            condition = self.parenthesis()
            write.condition(condition, {'true', 'false'})
            self.statement()
            if self.text() == 'else':
                self.at += 1
                self.statement()
        elif text in ('while', 'switch'):
            self.at += 1
            node = self.parenthesis()
            if text == 'while':
                write.condition(node, {'false'})
            else:
                write.expression(node)
            self.statement()
        elif text == 'do':
            self.at += 1
            self.statement()
            self.take('while')
            write.condition(self.parenthesis(), {'false'})
            self.take(';')
        elif text == 'for':
            self.for_statement()
        elif text == 'return':
            self.at += 1
            if self.text() != ';':
                write.returned(self.expression())
            self.take(';')
        elif text == 'goto':
            self.at += 2
            self.take(';')
        elif text in ('break', 'continue'):
            self.at += 1
            self.take(';')
            write.drop(first, self.at - 1)
        elif text in ('case', 'default'):
            while self.text() != ':':
                self.at += 1
            self.at += 1
        elif self.kind() == 'name' and self.text(1) == ':' and text not in KEYWORDS:
            self.at += 2
        elif self.is_declaration():
            self.declaration()
        else:
            self.expression_statement()

    def for_statement(self):
        self.at += 1
        self.take('(')
        if self.is_declaration():
            self.declaration()
        else:
            if self.text() != ';':
                self.writer.expression(self.expression())
            self.take(';')
        if self.text() != ';':
            self.writer.condition(self.expression(), {'false'})
        self.take(';')
        if self.text() != ')':
            self.writer.expression(self.expression())
        self.take(')')
        self.statement()

    def is_declaration(self):
        if self.kind() != 'name':
            return False
        if self.text() in TYPE_WORDS:
            return True
        ahead = 1
        while self.text(ahead) == '*':
            ahead += 1
        return self.kind(ahead) == 'name' and self.text(ahead) not in KEYWORDS \
            and self.text(ahead + 1) in ('=', ';', ',', '[', ')')

    def declaration(self):
        """What is declared is left alone, what it starts with is not."""
        constant = self.text() == 'static'
        while self.text() != ';':
            if self.text() == '=':
                self.at += 1
                self.initializer(constant)
            elif self.text() in PAIRS:
                self.skip_pair()
            elif not self.text():
                raise Cannot('a declaration without an end')
            else:
                self.at += 1
        self.at += 1

    def initializer(self, constant):
        if self.text() != '{':
            node = self.assignment()
            if not constant:
                self.writer.value(node)
            return
        end = closing(self.tokens, self.at)
        self.at += 1
        while self.at < end:
            # .field = or [index] =
            while self.text() in ('.', '['):
                if self.text() == '[':
                    self.skip_pair()
                else:
                    self.at += 2
            if self.text() == '=':
                self.at += 1
            if self.at < end:
                self.initializer(constant)
            if self.text() == ',':
                self.at += 1
        self.at = end + 1

    def expression_statement(self):
        first = self.at
        node = self.expression()
        if self.text() != ';':
            # A macro that begins a loop or a block.
            if node.kind == 'call' and self.text() not in (')', ']', '}'):
                self.writer.expression(node)
                return
            raise Cannot(f'"{self.text()}" after an expression')
        self.at += 1
        self.writer.expression_statement(node, first, self.at - 1)


class Writer:
    """The mutants of one file, and the file with all of them in it."""

    def __init__(self, name, text, lines):
        self.name = name
        self.source = text
        self.lines = lines
        self.tokens = tokenize(text)
        self.starts = [0] + [match.end() for match in re.finditer('\n', text)]
        self.mutants = []
        self.edits = []
        self.unparsed = []
        self.function = None
        # What the caller has found out not to compile, by the text that stands for it.
        self.without = set()
        # How often a function has had mutants of the same words.
        self.repeated = collections.Counter()

    def read(self, without=()):
        self.without = set(without)
        for name, first, last in functions(self.tokens):
            if self.changed(first, last):
                self.function = name
                Parser(self.tokens, first, self).block()
        # Who uses those of headers may need them to be constant.
        for name, tokens in macros(self.source) if self.name.endswith('.c') else ():
            self.read_macro(name, tokens)
        return self

    def read_macro(self, name, tokens):
        """What a macro stands for, if that is an expression."""
        kept, self.tokens, self.function = self.tokens, tokens, f'#define {name}'
        last = len(tokens) - 2
        if self.changed(0, last):
            parser = Parser(tokens, 0, self)
            try:
                node = parser.expression()
                parser.take(';')
                self.value(node)
            except Cannot as why:
                self.not_parsed(0, last, str(why))
        self.tokens = kept

    # Where things are

    def line(self, index, end=False):
        token = self.tokens[index]
        return bisect.bisect_right(self.starts, token.end - 1 if end else token.start)

    def changed(self, first, last):
        return any(line in self.lines for line in range(self.line(first), self.line(last, True) + 1))

    def words(self, first, last):
        """The tokens, with single spaces where the source has any."""
        parts, end = [], None
        for token in self.tokens[first:last + 1]:
            if end is not None and token.start > end:
                parts.append(' ')
            parts.append(token.text)
            end = token.end
        return ''.join(parts)

    def say(self, node):
        return self.words(node.first, node.last)

    def not_parsed(self, first, last, why):
        if self.changed(first, last):
            self.unparsed.append((self.line(first), self.function, self.words(first, last)[:60], why))

    # What a mutant is made of

    def add(self, first, last, what, opened, closed, replaced=()):
        """Macro text around some tokens, with the number of the mutant for %d."""
        self.repeated[self.function, what] += 1
        if self.repeated[self.function, what] > 1:
            what += f' ({self.repeated[self.function, what]})'
        mutant = Mutant(self.name, self.function, self.line(first), what,
                        (self.tokens[first].start, self.tokens[last].end))
        number = len(self.mutants)
        # It keeps its number, so that the others keep theirs.
        self.mutants.append(mutant)
        if mutant in self.without:
            return
        order = len(self.edits)
        self.edits.append((self.tokens[first].start, 1, order, opened, number, 0))
        # The one that was opened last is closed first.
        self.edits.append((self.tokens[last].end, 0, -order, closed, number, 0))
        for index, text in replaced:
            token = self.tokens[index]
            self.edits.append((token.start, 1, order, text, number, token.end - token.start))

    def around(self, node, what, macro, *arguments):
        self.add(node.first, node.last, what,
                 f'{macro}({", ".join(["%d", *arguments])}, ', ')')

    # Statements and what stands in them

    def drop(self, first, last):
        if self.changed(first, last):
            self.add(first, last, f'without {self.words(first, last)}',
                     '{ if (!mutated(%d)) { ', ' } }')

    def expression_statement(self, node, first, last):
        bare = node.bare()
        name = self.say(bare.kids[0]) if bare.kind == 'call' else ''
        while bare.kind == 'call' and bare.kids[0].kind == 'call':
            bare = bare.kids[0]
            name = self.say(bare.kids[0])
        if DECLARES.match(name):
            return
        droppable = bare.kind in ('call', 'assign', 'step') or bare.kind == 'unary' and bare.op in ('++', '--')
        if droppable and (not SAYS.match(name) or WARNS.match(name)):
            self.drop(first, last)
        self.expression(node)

    def condition(self, node, wanted):
        """Force a condition, and each part of it, to be what would leave it to the others."""
        bare = node.bare()
        if bare.kind == 'call' and self.say(bare.kids[0]) in ('likely', 'unlikely'):
            self.condition(bare.kids[1], wanted)
            return
        op = self.tokens[bare.op].text if bare.kind == 'binary' else None
        if op == '&&':
            mine, theirs = wanted & {'false'}, {'true'}
        elif op == '||':
            mine, theirs = wanted & {'true'}, {'false'}
        else:
            mine, theirs = wanted, None
        if bare.kind == 'number':
            # It says what is meant: while (1), do ... while (0).
            return
        if self.changed(node.first, node.last):
            for value in sorted(mine):
                self.around(node, f'{value} for {self.say(bare)}', f'MUTANT_{value.upper()}')
        if theirs:
            for kid in bare.kids:
                self.condition(kid, theirs)
        elif bare.kind == 'unary' and bare.op == '!':
            inner = bare.kids[0].bare()
            if inner.kind == 'binary' and self.tokens[inner.op].text in ('&&', '||'):
                self.condition(inner, set())
            else:
                self.expression(inner, covered=True)
        else:
            self.expression(bare, covered=True)

    def returned(self, node):
        bare = node.bare()
        if not self.changed(node.first - 1, node.last):
            self.expression(node)
            return
        text = self.say(bare)
        if text == '0':
            self.around(node, 'return -EIO for return 0', 'MUTANT_INSTEAD', '-5')
        elif text == 'NULL':
            self.around(node, 'return ERR_PTR(-EIO) for return NULL', 'MUTANT_INSTEAD', '(void *)-5L')
        elif self.is_logical(bare) or text in ('true', 'false') or self.is_errno(bare):
            self.value(node)
        elif bare.kind == 'number':
            # Another number than 0 is no other answer.
            self.around(node, f'return 0 for return {text}', 'MUTANT_INSTEAD', '0')
        else:
            if not (bare.kind == 'call' and re.match(r'ERR_PTR\(-E[A-Z0-9]+\)$', text)):
                self.around(node, f'return 0 for return {text}', 'MUTANT_INSTEAD', '0')
            self.expression(node)

    def is_logical(self, bare):
        return bare.kind == 'binary' and self.tokens[bare.op].text in LOGICAL \
            or bare.kind == 'unary' and bare.op == '!'

    def is_errno(self, bare):
        return bare.kind == 'unary' and bare.op == '-' and \
            re.match(r'-E[A-Z0-9]+$', self.say(bare))

    def value(self, node):
        """What is assigned, handed on or returned."""
        bare = node.bare()
        text = self.say(bare)
        if self.is_logical(bare):
            self.condition(node, {'true', 'false'})
            return
        if bare.kind == 'name' and self.changed(bare.first, bare.last):
            if text in ('true', 'false'):
                other = {'true': 'false', 'false': 'true'}[text]
                self.around(bare, f'{other} for {text} in {self.context(bare)}', 'MUTANT_INSTEAD', other)
            elif self.can_be_0(bare):
                self.around(bare, f'0 for {text} in {self.context(bare)}', 'MUTANT_INSTEAD', '0')
        self.expression(node)

    def context(self, node):
        """The statement around, so that people know which of several it is."""
        first, last = node.first, node.last
        while first and self.tokens[first - 1].text not in (';', '{', '}'):
            first -= 1
        while self.tokens[last].text not in (';', '{', '}'):
            last += 1
        text = self.words(first, last - 1)
        return text if len(text) <= 80 else text[:77] + '...'

    def is_constant(self, node):
        bare = node.bare()
        return bare.kind == 'name' and re.match(r'_*[A-Z][A-Z0-9_]+$', self.say(bare))

    def can_be_0(self, node):
        """Whether a constant may be left out, which is not 0 anyway.

        Where memory comes from shows when there is none.
        """
        return self.is_constant(node) and self.changed(node.first, node.last) \
            and not re.match(r'_*GFP_|NULL$|THIS_MODULE$|DMA_BIDIRECTIONAL$', self.say(node))

    def flag(self, node):
        bare = node.bare()
        if self.can_be_0(bare):
            self.around(bare, f'0 for {self.say(bare)} in {self.context(bare)}', 'MUTANT_INSTEAD', '0')

    def expression(self, node, covered=False):
        """Everything in an expression; covered if it is a condition that is forced already."""
        bare = node.bare()
        kids = bare.kids
        if bare.kind == 'number':
            self.number(bare)
        elif bare.kind == 'binary':
            self.binary(bare, covered)
        elif bare.kind == 'ternary':
            self.condition(kids[0], {'true', 'false'})
            self.value(kids[1])
            self.value(kids[2])
        elif bare.kind == 'assign':
            self.expression(kids[0])
            if bare.op == '|=':
                self.expression(kids[1])
            else:
                self.value(kids[1])
        elif bare.kind == 'call':
            self.call(bare)
        elif self.is_errno(bare):
            self.errno(bare)
        elif bare.kind == 'unary':
            if bare.op == '~':
                self.flag(kids[0])
            if bare.op == '!' and not covered:
                self.condition(bare, {'true', 'false'})
            else:
                self.expression(kids[0])
        else:
            for kid in kids:
                self.expression(kid)

    def number(self, node):
        if self.changed(node.first, node.last):
            self.around(node, f'{self.say(node)} + 1 for {self.say(node)} in {self.context(node)}',
                        'MUTANT_MORE')

    def errno(self, node):
        if self.changed(node.first, node.last):
            text = self.say(node)
            other = '-22' if text != '-EINVAL' else '-12'
            where = self.context(node)
            self.around(node, f'0 for {text} in {where}', 'MUTANT_INSTEAD', '0')
            self.around(node, f'another errno for {text} in {where}', 'MUTANT_INSTEAD', other)

    def binary(self, node, covered):
        op = self.tokens[node.op].text
        if op in ('&&', '||', '==', '!=') and not covered:
            self.condition(node, {'true', 'false'})
            return
        left, right = node.kids
        # Something in a condition that is or is not is forced to be either already, and
        # of two constants there is nothing in common.
        useless = op in ('&', '|') and (covered or self.is_constant(left) and self.is_constant(right))
        if op in SWAPPED and not useless and self.changed(left.last, right.first):
            self.add(node.first, node.last,
                     f'{SWAPPED[op]} for {op} in {self.say(node)}',
                     f'MUTANT_OP(%d, {op}, {SWAPPED[op]}, ', ')', [(node.op, ',')])
        if op == '|':
            self.flag(left)
            self.flag(right)
        self.expression(left)
        self.expression(right)

    def call(self, node):
        name = self.say(node.kids[0])
        if node.kids[0].kind != 'name':
            self.expression(node.kids[0])
        if SAYS.match(name) and not WARNS.match(name):
            return
        if WARNS.match(name):
            # What is said is not our business, but when is.
            condition = node.kids[2 if name.startswith('dev_') else 1:][:1]
            if name != 'err_printk':
                for kid in condition:
                    self.condition(kid, {'true', 'false'})
            return
        if CONFIGURED.match(name):
            # The name of an option, which is no value.
            return
        if name == 'rcu_dereference_protected':
            # What protects it is an assertion.
            self.expression(node.kids[1])
            return
        for kid in node.kids[1:]:
            self.value(kid)

    # The file with all mutants in it

    def written(self, first_number):
        """The text, and where each mutant has got to in it."""
        header = '#include <linux/mutant.h>\n'
        parts, at, length = [header], 0, len(header)
        places = {}
        for start, _, _, text, number, replaced in sorted(self.edits, key=lambda edit: edit[:3]):
            piece = self.source[at:start]
            text = text.replace('%d', str(first_number + number))
            parts += [piece, text]
            length += len(piece)
            begin, end = places.get(number, (length, length))
            length += len(text)
            places[number] = (min(begin, length - len(text)), max(end, length))
            at = start + replaced
        parts.append(self.source[at:])
        return ''.join(parts), places


def changed_lines(diff):
    """The lines that a diff without context adds, by the file they are in."""
    found, name = {}, None
    for line in diff.splitlines():
        if line.startswith('+++ '):
            name = line[6:]
        hunk = re.match(r'@@ -\S+ \+(\d+)(?:,(\d+))? @@', line)
        if hunk:
            first, count = int(hunk[1]), int(hunk[2] if hunk[2] is not None else 1)
            found.setdefault(name, set()).update(range(first, first + count))
    return found
