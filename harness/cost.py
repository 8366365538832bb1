# SPDX-License-Identifier: GPL-2.0
"""What the benchmark counted: read from a log, compared, judged, kept and shown."""

import collections
import json
import re

from harness import ranges
from harness.project import Failure, relative

# Instructions of one operation; the last column is the series with the attribute.
Row = collections.namedtuple('Row', 'machine interface entries operation stock series attribute')

# Bytes of machine code, of the kernel image, an object, or all objects together.
ALL = 'all objects'
Text = collections.namedtuple('Text', 'arch object stock series')

MARK = re.compile(r'\bbench: (.*)$')
COUNT = re.compile(r'(\w+) (\d+) (none|attribute) map (\d+) unmap (\d+)$')
OPERATIONS = ('map', 'unmap')


# Reading a log

def parse(lines, where, expected_path):
    """Instructions per operation: {(interface, entries, operation): {attribute: count}}."""
    counts, device, done = {}, None, False
    for line in lines:
        mark = MARK.search(line)
        if not mark:
            continue
        words = mark[1].strip()
        found = COUNT.match(words)
        if found:
            for operation, count in zip(OPERATIONS, found.groups()[3:]):
                key = found[1], int(found[2]), operation
                counts.setdefault(key, {})[found[3]] = int(count)
        elif words.startswith('device '):
            device = words.split()[1:]
        elif words == 'done':
            done = True
        else:
            raise Failure(f'{where}: {words}')
    if not done:
        raise Failure(f'{where}: the benchmark did not run to its end')
    if device != ['coherent', expected_path]:
        raise Failure(f'{where}: the device is {" and ".join(device or ["unknown"])}, '
                      f'it has to be coherent and {expected_path}')
    return without_calling(counts, where)


def without_calling(counts, where):
    """Take off what it costs to call and count a function that does nothing."""
    empty = {operation: counts.pop(('nothing', 0, operation), {}).get('none')
             for operation in OPERATIONS}
    if None in empty.values():
        raise Failure(f'{where}: the benchmark does not say what counting costs')
    for key, found in counts.items():
        if found.keys() != {'none', 'attribute'}:
            raise Failure(f'{where}: {key[0]} was not measured with and without the attribute')
    return {key: {attribute: count - empty[key[2]] for attribute, count in found.items()}
            for key, found in counts.items()}


def compare(machine, stock, series):
    """Rows of the two kernels; both must have measured the same."""
    if stock.keys() != series.keys() or not stock:
        raise Failure(f'{machine}: the two kernels did not measure the same interfaces')
    return [Row(machine, *key, stock[key]['none'], series[key]['none'],
                series[key]['attribute']) for key in stock]


# Judging

# What a defect that is fixed ahead of the feature may cost, and what it buys: the
# stock kernel is cheaper because it does not do its work.
FIXED = {('dma_iova_alloc_link', 'unmap'): (3, 'dma_iova_destroy() now frees the whole range')}


def is_fix(row):
    most, _ = FIXED.get((row.interface, row.operation), (0, None))
    return row.series - row.stock <= most


def verdict(rows):
    """A sentence, and whether the bound is met."""
    if not rows:
        return 'The bound is not met: nothing was measured.', False
    more = [row for row in rows if row.series > row.stock]
    fixed = {}
    for row in filter(is_fix, more):
        _, what = FIXED[row.interface, row.operation]
        fixed[what] = max(fixed.get(what, 0), row.series - row.stock)
    worse = [row for row in more if not is_fix(row)]
    machines = ', '.join(dict.fromkeys(row.machine for row in rows))
    if not worse:
        but = ''.join(f', but for a fix: {what}, for up to {cost} instructions'
                      for what, cost in fixed.items())
        return (f'The bound is met: without the attribute, none of {len(rows)} operations on '
                f'{machines} executes an instruction more than the stock kernel{but}.'), True
    worst = max(worse, key=lambda row: row.series - row.stock)
    return (f'The bound is not met: without the attribute, {len(worse)} of {len(rows)} operations '
            f'execute more instructions than the stock kernel, {worst.operation} of '
            f'{title(worst)} on {worst.machine} {worst.series - worst.stock} more.'), False


# Showing

def change(count):
    return f'{count:+d}' if count else '0'


def title(row):
    return f'{row.interface}, {row.entries} entries' if row.entries > 1 else row.interface


HEADER = ('machine', 'interface', '', 'stock', 'series', 'difference', 'with attribute')


def columns(rows):
    """Rows of text, right-aligned where there are numbers."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    numbers = [all(re.fullmatch(r'[-+\d.]+', cell) for cell in column[1:])
               for column in zip(*rows)]
    return ['  '.join(cell.rjust(width) if right else cell.ljust(width)
                      for cell, width, right in zip(row, widths, numbers)).rstrip()
            for row in rows]


def table(rows):
    return columns([HEADER] + [
        (row.machine, title(row), row.operation, str(row.stock), str(row.series),
         change(row.series - row.stock), str(row.attribute)) for row in rows])


def text_table(texts):
    return columns([('architecture', 'bytes of code', 'stock', 'series', 'difference')] + [
        (text.arch, text.object, str(text.stock), str(text.series),
         change(text.series - text.stock)) for text in texts])


# Keeping. What was counted last is in the repository, for the README.

def path(base):
    return base.dir / 'bench.json'


def save(base, rows, texts, device_memory, digest, tools):
    """One row per line, so that a difference shows what has changed."""
    result = {'digest': digest, 'version': base.version, 'tools': tools}
    lines = [f'{json.dumps(key)}: {json.dumps(value)}' for key, value in result.items()]
    for name, found in (('rows', rows), ('texts', texts), ('ranges', device_memory)):
        inner = ',\n'.join(f'  {json.dumps(row)}' for row in found)
        lines.append(f'"{name}": [\n{inner}\n]')
    path(base).write_text('{\n' + ',\n'.join(lines) + '\n}\n')


def load(base):
    """What was saved, None if nothing was."""
    try:
        result = json.loads(path(base).read_text())
        result['rows'] = [Row(*row) for row in result['rows']]
        result['texts'] = [Text(*text) for text in result['texts']]
        result['ranges'] = [ranges.Row(*row) for row in result['ranges']]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(f'{relative(path(base))} is not what "make bench RECORD=1" writes: '
                      f'{error}') from error
    return result


def markdown(base):
    """The lines of the README about one base."""
    result = load(base)
    if not result:
        return []
    lines = [f'Instructions on Linux {result["version"]}, compiled with '
             f'{" and ".join(result["tools"])}:', '',
             '| machine | | map: stock | series | with attribute '
             '| unmap: stock | series | with attribute |', '|---|---|--:|--:|--:|--:|--:|--:|']
    pairs = {}
    for row in result['rows']:
        pairs.setdefault((row.machine, title(row)), {})[row.operation] = row
    for names, pair in pairs.items():
        cells = [str(count) for operation in OPERATIONS
                 for count in (pair[operation].stock, pair[operation].series,
                               pair[operation].attribute)]
        lines.append('| ' + ' | '.join([*names, *cells]) + ' |')
    grown = [f'{text.series - text.stock} bytes on {text.arch}'
             for text in result['texts'] if text.object == ALL]
    return lines + ['', f'{verdict(result["rows"])[0]} The machine code of the kernel grows by '
                    f'{" and ".join(grown)}.', '', *ranges.markdown(result['ranges'])]
