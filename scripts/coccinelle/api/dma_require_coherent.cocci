// SPDX-License-Identifier: GPL-2.0-only
/// Find misuses of DMA_ATTR_REQUIRE_COHERENT: unmaps that do not carry the
/// attribute of their mapping, dma_sync_*() calls, mappings of kernel memory,
/// and refusals that are ignored or worked around.
///
/// The attribute is for memory that a device and user space use at the same
/// time. A mapping gives the device that very memory, or fails. See
/// Documentation/core-api/dma-attributes.rst.
//# Calls in different functions of a file are connected by the member that
//# holds the DMA address, the scatterlist or the IOVA state, and the type of
//# its structure. Reports that rest on a member say "may". Nothing is reported
//# if the file maps for that member both with and without the attribute, or
//# with attributes that are not known.
//#
//# Attributes are known if they are constants, macros of the same file, local
//# variables, or members that the file only sets to constants that have
//# DMA_ATTR_REQUIRE_COHERENT.
//#
//# dma_iova_sync() is not reported: it flushes the IOTLB, which is needed after
//# every dma_iova_link().
//
// Confidence: Moderate
// Comments: patch mode only adds the attribute to unmaps in the same function
// Options: --no-includes --include-headers
// Keywords: DMA_ATTR_REQUIRE_COHERENT, dma_map_page_attrs, dma_unmap_page_attrs

virtual patch
virtual context
virtual org
virtual report

@initialize:python@
@@

import re

ATTR = "DMA_ATTR_REQUIRE_COHERENT"

# What is known of an attrs argument.
WITH, WITHOUT, UNKNOWN = "with", "without", "unknown"

BUFFER = "(page|single|phys|resource|bvec)(_attrs)?"
LIST = "(sg|sgtable)(_attrs)?"
MAP_BUFFER = re.compile("(ib_)?dma_map_%s$" % BUFFER)
MAP_OTHER = re.compile("((ib_)?dma_map_%s|dma_iova_link)$" % LIST)
UNMAP = re.compile("((ib_)?dma_unmap_(%s|%s)|dma_iova_(unlink|destroy))$" % (BUFFER, LIST))
SYNC = re.compile("(ib_)?dma_sync_(single|sg|sgtable)_(range_)?for_(cpu|device)$")
ALLOC = re.compile("dmam?_alloc_(attrs|noncontiguous)$")
NO_ATTRS = re.compile("((ib_)?dma_(un)?map_(page|single|sg)|ib_dma_(un)?map_bvec)$")

# What patch mode replaces by a function that takes attributes.
WITH_ATTRS = ("dma_unmap_page", "dma_unmap_single", "dma_unmap_sg", "ib_dma_unmap_sg")

CAST = re.compile(r"\(\s*(struct|unsigned|long|void|u64|dma_addr_t)\b[\w\s*]*\)\s*(?=[\w(&*])")
OBJECT = re.compile(r"([A-Za-z_]\w*)(\[\])?((?:\.\w+(?:\[\])?)*)$")
CONSTANT = re.compile(r"~?[A-Z0-9_]+$")
KERNEL_MEMORY = re.compile(r"\b(virt_to_page|vmalloc_to_page|kmap_to_page|virt_to_phys|__pa)\b")
CHECK = re.compile("err|check|valid|expect|assert|return", re.I)

class File:
    """What the rules below find in a file. Code is text, a position p is one of spatch."""
    def __init__(self):
        self.macros = {}          # name: definition
        self.assigned = {}        # function: [(left side, operator, right side)]
        self.taken = set()        # (function, variable) whose address is taken
        self.types = {}           # (function, variable): type of structure
        self.calls = []           # (p, name, arguments)
        self.results = []         # (p, left side, name, arguments)
        self.ignored = []         # (p, name, arguments)
        self.looked_at = set()    # (function, variable)
        self.passed = set()       # (function, variable, function that it is passed to)
        self.filled = set()       # keys of scatterlists made of kernel addresses
        self.retries = []         # (p of the first, name, arguments, p of the second, ...)
        self.alternatives = set() # (place, place) of which a branch takes one
        self.resets = []          # (p of the mapping, p, variable, operator, right side)
        self.findings = {}        # place: (p, message)
        self.missing = set()      # places of unmaps that certainly lack the attribute

this = File()

def place(p):
    return p.file, int(p.line), int(p.column)

def split(text, separator):
    """Split at the separators that are not within parentheses."""
    parts, depth = [""], 0
    for c in text:
        depth += (c in "([{") - (c in ")]}")
        if c == separator and not depth:
            parts.append("")
        else:
            parts[-1] += c
    return [part.strip() for part in parts]

def enclosed(text):
    """Whether the first parenthesis is closed by the last one."""
    depth = 0
    for n, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if not depth:
            return n > 0 and n == len(text) - 1
    return False

def bare(text):
    """An expression without casts and without parentheses around it."""
    text = text.strip()
    while CAST.match(text) or enclosed(text):
        cast = CAST.match(text)
        text = text[cast.end():] if cast else text[1:-1].strip()
    return text

def argument(arguments, n):
    parts = split(arguments, ",")
    return parts[n] if n < len(parts) else ""

def values(function, variable, operators=("=",)):
    return [right for left, op, right in this.assigned.get(function, [])
            if left == variable and op in operators]

def path(text):
    """The same for &a->b[1], a->b[i] and a.b[0], and for a table and its list."""
    text = bare(text)
    while text[:1] in ("&", "*"):
        text = bare(text[1:])
    text = text.replace(" ", "").replace("->", ".")
    while re.search(r"\[[^][]+\]", text):
        text = re.sub(r"\[[^][]+\]", "[]", text)
    return re.sub(r"\.sgl$", "", text)

def key(function, text, depth=4):
    """What stands for an object: whether it is a member; its type or function; its name."""
    name = path(text)
    found = OBJECT.match(name)
    if not found:
        return False, function, name
    variable, index, member = found.groups()
    if member:
        structure = this.types.get((function, variable))
        return (True, structure, member) if structure else (False, function, name)
    sources = values(function, variable)
    if len(sources) == 1 and depth and (function, variable) not in this.taken:
        source = path(sources[0])
        if OBJECT.match(source) and not CONSTANT.match(source):
            found = key(function, sources[0], depth - 1)
            return found[0], found[1], found[2] + (index or "")
    return False, function, name

def only(known):
    return known.pop() if len(known) == 1 else UNKNOWN

def attributes(function, text, depth=4):
    """What is known of attributes."""
    text = bare(text)
    parts = split(text, "|")
    if len(parts) > 1:
        known = {attributes(function, part, depth) for part in parts}
        return WITH if WITH in known else only(known)
    if text == ATTR:
        return WITH
    if text == "0" or re.match(r"DMA_ATTR_\w+$", text):
        return WITHOUT
    if not depth:
        return UNKNOWN
    if text in this.macros:
        return attributes(function, this.macros[text], depth - 1)
    if re.match(r"\w+$", text):
        return of_variable(function, text, depth)
    k = key(function, text)
    return of_member(k, depth) if k[0] else UNKNOWN

def of_variable(function, variable, depth):
    operators = {op for left, op, _ in this.assigned.get(function, []) if left == variable}
    if (function, variable) in this.taken or operators - {"=", "|="}:
        return UNKNOWN
    known = only({attributes(function, value, depth - 1) for value in values(function, variable)})
    if known == WITHOUT:
        return only({attributes(function, value, depth - 1)
                     for value in values(function, variable, ("=", "|="))})
    return known

def of_member(k, depth):
    """Another file may set it, too, so it is never certain to be without."""
    known = {attributes(function, right, depth - 1)
             for function, assigned in this.assigned.items() for left, op, right in assigned
             if op == "=" and key(function, left) == k}
    return WITH if known == {WITH} else UNKNOWN

def of_call(function, name, arguments):
    return WITHOUT if NO_ATTRS.match(name) else attributes(function, split(arguments, ",")[-1])

def warn(p, message):
    this.findings.setdefault(place(p), (p, "WARNING: " + message))

def mappings():
    """For each object, what is known of the attributes of its mappings, and where they are."""
    found = {}
    for p, left, name, arguments in this.results:
        if MAP_BUFFER.match(name):
            known = of_call(p.current_element, name, arguments)
            found.setdefault(key(p.current_element, left), []).append((known, p))
    # An address is often first in a variable and then in a member.
    stored = {}
    for function, assigned in this.assigned.items():
        for left, op, right in assigned:
            k, source = key(function, left), key(function, right)
            name = re.match(r"\w*", bare(right)).group()
            if op == "=" and k != source and not MAP_BUFFER.match(name) and \
                    not CONSTANT.match(path(right)):
                stored.setdefault(k, []).extend(found.get(source, [(UNKNOWN, None)]))
    for k, mapped in stored.items():
        if k in found or any(p for _, p in mapped):
            found[k] = found.get(k, []) + mapped
    for p, name, arguments in this.calls:
        if MAP_OTHER.match(name):
            known = of_call(p.current_element, name, arguments)
            k = key(p.current_element, argument(arguments, 1))
            found.setdefault(k, []).append((known, p))
    # A function of the same file may map what it is given in yet another way.
    maps = {p.current_element for mapped in found.values() for _, p in mapped if p}
    for function, variable, other in this.passed:
        k = key(function, variable)
        if other in maps and k in found:
            found[k].append((UNKNOWN, None))
    return found

def judge_unmaps_and_syncs(found):
    for p, name, arguments in this.calls:
        function = p.current_element
        sync = SYNC.match(name)
        if not sync and not UNMAP.match(name):
            continue
        text = argument(arguments, 1)
        if sync:
            text = split(text.replace("->", "."), "+")[0]
        k = key(function, text)
        if sync and k not in found:
            # The addresses of an IOVA range begin at the member addr of its state.
            k = key(function, re.sub(r"\.\s*addr$", "", text))
        mapped = found.get(k, [])
        known = only({known for known, _ in mapped})
        if known == UNKNOWN:
            continue
        line = min(int(where.line) for _, where in mapped)
        # A variable holds what this call of the function has mapped, a member perhaps not.
        may = "." in k[2]
        this_one = WITH if sync else of_call(function, name, arguments)
        if sync and known == WITH:
            warn(p, "%s() of what %s mapped with %s on line %s"
                 % (name, "may be" if may else "was", ATTR, line))
        elif known == WITH and this_one == WITHOUT:
            warn(p, "%s() %s %s, with which line %s mapped it"
                 % (name, "may lack" if may else "lacks", ATTR, line))
            if not may and not (NO_ATTRS.match(name) and name not in WITH_ATTRS):
                this.missing.add(place(p))
        elif known == WITHOUT and this_one == WITH and not sync:
            warn(p, "%s() with %s of what %s mapped without it on line %s"
                 % (name, ATTR, "may be" if may else "was", line))

def judge_memory():
    for p, name, arguments in this.calls:
        function = p.current_element
        maps = MAP_BUFFER.match(name) or MAP_OTHER.match(name)
        if not maps and not ALLOC.match(name) or of_call(function, name, arguments) != WITH:
            continue
        if not maps:
            warn(p, "%s() does not take %s, which is for memory that exists" % (name, ATTR))
            continue
        memory = argument(arguments, 2 if name == "dma_iova_link" else 1)
        sources = values(function, bare(memory)) or [memory]
        if "_single" in name or key(function, memory) in this.filled or \
                all(map(KERNEL_MEMORY.search, sources)):
            warn(p, "%s is for memory that user space shares, not for kernel memory" % ATTR)

def judge_results():
    checked = {key(p.current_element, argument(arguments, 1)) for p, name, arguments in this.calls
               if name.endswith("dma_mapping_error")}
    for p, left, name, arguments in this.results:
        function = p.current_element
        # What a pointer points to is for the caller to check.
        if not MAP_BUFFER.match(name) or of_call(function, name, arguments) != WITH or \
                bare(left).startswith("*") or (function, left) in this.looked_at:
            continue
        copies = [copy for copy, op, right in this.assigned.get(function, [])
                  if op == "=" and bare(right) == left]
        if not checked & {key(function, copy) for copy in [left] + copies}:
            warn(p, "%s is never passed to dma_mapping_error(), but %s can be refused"
                 % (left.replace(" ", ""), ATTR))
    for p, name, arguments in this.ignored:
        if (MAP_BUFFER.match(name) or MAP_OTHER.match(name)) and \
                of_call(p.current_element, name, arguments) == WITH:
            warn(p, "the result of %s() is ignored, but %s can be refused" % (name, ATTR))

def judge_retries():
    message = "what was refused on line %s must not be mapped without " + ATTR
    for p, name, arguments, q, other, others in this.retries:
        function = p.current_element
        if not (MAP_BUFFER.match(name) or MAP_OTHER.match(name)) or place(p) >= place(q) or \
                name.replace("_attrs", "") != other.replace("_attrs", "") or \
                (place(p), place(q)) in this.alternatives:
            continue
        first = arguments if NO_ATTRS.match(name) else arguments.rpartition(",")[0]
        second = others if NO_ATTRS.match(other) else others.rpartition(",")[0]
        if first.replace(" ", "") == second.replace(" ", "") and \
                of_call(function, name, arguments) == WITH and \
                of_call(function, other, others) == WITHOUT:
            warn(q, message % p.line)
    for p, q, variable, op, right in this.resets:
        function = p.current_element
        cleared = op == "&=" and re.search("~.*" + ATTR, right)
        replaced = op == "=" and attributes(function, right) == WITHOUT and \
            WITH in {attributes(function, value) for value in values(function, variable)}
        if cleared or replaced:
            warn(q, message % p.line)

def judge():
    judge_retries()
    judge_memory()
    judge_unmaps_and_syncs(mappings())
    judge_results()

def in_order():
    return [this.findings[where] for where in sorted(this.findings)]

//----------------------------------------------------------
//  What the file has
//----------------------------------------------------------

// All else depends on this rule, so that files without the attribute are skipped.
@uses@
@@

DMA_ATTR_REQUIRE_COHERENT

@script:python depends on uses@
@@

this = File()

@macro depends on uses@
identifier m;
expression e;
@@

#define m e

@script:python@
m << macro.m;
e << macro.e;
@@

this.macros[m] = e

@assigned depends on uses@
expression x, e;
assignment operator op;
position p;
@@

x op@p e

@script:python@
p << assigned.p;
x << assigned.x;
op << assigned.op;
e << assigned.e;
@@

this.assigned.setdefault(p[0].current_element, []).append((x, op.strip(), e))

@taken depends on uses@
idexpression x;
position p;
@@

  &x@p

@script:python@
p << taken.p;
x << taken.x;
@@

this.taken.add((p[0].current_element, x))

@structure depends on uses@
type T;
idexpression T x;
identifier member;
position p;
@@

(
x@p->member
|
x@p.member
)

@script:python@
p << structure.p;
x << structure.x;
T << structure.T;
@@

this.types[p[0].current_element, x] = T.replace("const ", "").rstrip("* ")

@call depends on uses@
identifier f =~ "dma";
expression list es;
position p;
@@

f@p(es)

@script:python@
p << call.p;
f << call.f;
es << call.es;
@@

this.calls.append((p[0], f, str(es)))

@result depends on uses@
identifier f =~ "dma_map";
expression x;
expression list es;
position p;
@@

x = f@p(es)

@script:python@
p << result.p;
x << result.x;
f << result.f;
es << result.es;
@@

this.results.append((p[0], x, f, str(es)))

@filled depends on uses@
expression x;
position p;
@@

\(sg_init_one@p\|sg_set_buf@p\)(x, ...)

@script:python@
p << filled.p;
x << filled.x;
@@

this.filled.add(key(p[0].current_element, x))

@looked_at depends on uses@
idexpression x;
identifier f;
expression e;
position p;
@@

(
return <+... x@p ...+>;
|
x@p == e
|
x@p != e
|
f(..., x@p, ...)
|
f(..., &x@p, ...)
)

@script:python@
p << looked_at.p;
x << looked_at.x;
f << looked_at.f = "check";
@@

if CHECK.search(f):
    this.looked_at.add((p[0].current_element, x))
this.passed.add((p[0].current_element, x, f))

//----------------------------------------------------------
//  Results that nobody looks at
//----------------------------------------------------------

@ignored depends on uses@
identifier f =~ "dma_";
expression list es;
position p;
@@

(
f@p(es);
|
 (void)f@p(es);
)

@script:python@
p << ignored.p;
f << ignored.f;
es << ignored.es;
@@

this.ignored.append((p[0], f, str(es)))

@written depends on uses@
local idexpression r;
expression e;
position p;
@@

r@p = e

@bound depends on uses@
iterator name for_each_sg;
local idexpression r;
expression e1, e2, e3;
position p;
statement S;
@@

for_each_sg(e1, e2, r@p, e3) S

@read depends on uses exists@
local idexpression r;
identifier f =~ "dma_";
expression e;
position p, q != {written.p, bound.p};
@@

r = f@p(...)
... when != r = e
r@q

@unread depends on uses@
local idexpression r;
identifier f =~ "dma_";
expression list es;
position p != read.p;
type T;
identifier x;
@@

(
r = f@p(es);
|
T x = f@p(es);
)

@script:python@
p << unread.p;
f << unread.f;
es << unread.es;
@@

if MAP_OTHER.match(f):
    this.ignored.append((p[0], f, str(es)))

//----------------------------------------------------------
//  Retries without the attribute
//----------------------------------------------------------

@retry depends on uses exists@
identifier f =~ "dma_", g =~ "dma_", h =~ "unmap";
expression d, m, r;
expression list es1, es2;
position p, q;
@@

r = f@p(d, m, es1)
... when != h(d, m, ...)
    when != h(d, r, ...)
    when != dma_iova_unlink(d, m, ...)
    when != dma_iova_destroy(d, m, ...)
r = g@q(d, m, es2)

@either depends on uses@
identifier retry.f, retry.g;
position retry.p, retry.q, other;
expression c;
@@

if (c) {
	<+... f@p(...) ...+>
} else {
	<+... g@q@other(...) ...+>
}

@script:python@
p << retry.p;
q << either.other;
@@

this.alternatives.add((place(p[0]), place(q[0])))

@script:python@
p << retry.p;
q << retry.q;
f << retry.f;
g << retry.g;
d << retry.d;
m << retry.m;
es1 << retry.es1;
es2 << retry.es2;
@@

this.retries.append((p[0], f, "%s, %s, %s" % (d, m, es1), q[0], g, "%s, %s, %s" % (d, m, es2)))

// The first attempt is the condition itself.
@retry_of_condition depends on uses exists@
identifier f =~ "dma_", g =~ "dma_";
expression d, m;
expression list es1, es2;
position p, q;
@@

if (<+... f@p(d, m, es1) ...+>) {
	<+... g@q(d, m, es2) ...+>
}

@script:python@
p << retry_of_condition.p;
q << retry_of_condition.q;
f << retry_of_condition.f;
g << retry_of_condition.g;
d << retry_of_condition.d;
m << retry_of_condition.m;
es1 << retry_of_condition.es1;
es2 << retry_of_condition.es2;
@@

this.retries.append((p[0], f, "%s, %s, %s" % (d, m, es1), q[0], g, "%s, %s, %s" % (d, m, es2)))

// The second attempt is the same call, with other attributes in the variable.
@reset depends on uses exists@
identifier f =~ "dma_";
idexpression v;
expression r, e, e1;
assignment operator op;
position p, q;
@@

r = f@p(..., v)
... when != r = e1
if (<+... r ...+>) {
	<+... v@q op e ...+>
}

@script:python@
p << reset.p;
q << reset.q;
v << reset.v;
op << reset.op;
e << reset.e;
@@

this.resets.append((p[0], q[0], v, op.strip(), e))

@reset_of_condition depends on uses exists@
identifier f =~ "dma_";
idexpression v;
expression e;
assignment operator op;
position p, q;
@@

if (<+... f@p(..., v) ...+>) {
	<+... v@q op e ...+>
}

@script:python@
p << reset_of_condition.p;
q << reset_of_condition.q;
v << reset_of_condition.v;
op << reset_of_condition.op;
e << reset_of_condition.e;
@@

this.resets.append((p[0], q[0], v, op.strip(), e))

@script:python depends on uses@
@@

judge()

//----------------------------------------------------------
//  For context mode
//----------------------------------------------------------

@found depends on context && uses@
identifier f =~ "dma";
idexpression v;
expression e;
assignment operator op;
position p;
@@

(
f@p(...)
|
v@p op e
)

@script:python@
p << found.p;
@@

if place(p[0]) not in this.findings:
    cocci.include_match(False)

@depends on context@
identifier f;
idexpression v;
expression e;
assignment operator op;
position found.p;
@@

(
* f@p(...)
|
* v@p op e
)

//----------------------------------------------------------
//  For patch mode
//----------------------------------------------------------

@fix depends on patch && uses@
identifier f =~ "dma";
position p;
@@

f@p(...)

@script:python@
p << fix.p;
@@

if place(p[0]) not in this.missing:
    cocci.include_match(False)

@depends on patch@
identifier fix.f;
position fix.p;
expression d, x, n, s, r, attrs;
@@

(
- dma_unmap_page@p(d, x, s, r)
+ dma_unmap_page_attrs(d, x, s, r, DMA_ATTR_REQUIRE_COHERENT)
|
- dma_unmap_single@p(d, x, s, r)
+ dma_unmap_single_attrs(d, x, s, r, DMA_ATTR_REQUIRE_COHERENT)
|
- dma_unmap_sg@p(d, x, n, r)
+ dma_unmap_sg_attrs(d, x, n, r, DMA_ATTR_REQUIRE_COHERENT)
|
- ib_dma_unmap_sg@p(d, x, n, r)
+ ib_dma_unmap_sg_attrs(d, x, n, r, DMA_ATTR_REQUIRE_COHERENT)
|
f@p(...,
-	0
+	DMA_ATTR_REQUIRE_COHERENT
   )
|
f@p(...,
-	attrs
+	attrs | DMA_ATTR_REQUIRE_COHERENT
   )
)

//----------------------------------------------------------
//  For org and report mode
//----------------------------------------------------------

@script:python depends on org && uses@
@@

for p, message in in_order():
    coccilib.org.print_safe_todo(p, message)

@script:python depends on report && uses@
@@

for p, message in in_order():
    coccilib.report.print_report(p, message)
