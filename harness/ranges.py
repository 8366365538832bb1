# SPDX-License-Identifier: GPL-2.0
"""What the benchmark counted for more and more ranges of device memory, and whether it is flat."""

import collections
import re
from fractions import Fraction

from harness.project import Failure

# One mapping: instructions, bytes that it holds, and apart from those the bytes of the page
# tables of an IOMMU, for addresses at which nothing has been mapped before.
Row = collections.namedtuple('Row', 'machine route ranges map unmap bytes tables')

NUMBERS = (1, 10, 100, 1000, 10000, 100000)

ROUTES = {'bus': 'below one switch', 'iommu': 'host bridge, IOMMU',
          'direct': 'host bridge, no IOMMU'}

COSTS = {'map': 'instructions of dma_buf_phys_vec_to_sgt()',
         'unmap': 'instructions of dma_buf_free_sgt()',
         'bytes': 'bytes of memory', 'tables': 'bytes of page tables'}

# By then many ranges share what is paid once per mapping. A page of a list is needed for
# every 127 ranges, and a page table for every 512: such costs come in steps.
FLAT_FROM = 100
PERCENT = 5
FLAT = (f'from {FLAT_FROM} ranges on, a range costs at most {PERCENT} % or one instruction or byte '
        f'more than it does with any smaller number of ranges')

MARK = re.compile(r'\bphys_vec: (.*)$')
COUNT = re.compile(r'(\d+) map (\d+) unmap (\d+) bytes (\d+) tables (\d+)$')


def parse(lines, machine, route):
    """The rows of a machine on which the memory is to be reached by this route."""
    rows, found_route, done = [], None, False
    for line in lines:
        mark = MARK.search(line)
        if not mark:
            continue
        words = mark[1].strip()
        count = COUNT.match(words)
        if count:
            rows.append(Row(machine, route, *map(int, count.groups())))
        elif words.startswith('route '):
            found_route = words.split()[1]
        elif words == 'done':
            done = True
        else:
            raise Failure(f'device memory on {machine}: {words}')
    if not done:
        raise Failure(f'device memory on {machine}: the benchmark did not run to its end')
    if found_route != route:
        raise Failure(f'device memory on {machine}: the route is {found_route}, '
                      f'it has to be {route}')
    rows.sort(key=lambda row: row.ranges)
    if tuple(row.ranges for row in rows) != NUMBERS:
        raise Failure(f'device memory on {machine}: these numbers of ranges were not measured: '
                      f'{", ".join(map(str, NUMBERS))}')
    return rows


# Judging

def per_range(row, cost):
    return Fraction(getattr(row, cost), row.ranges)


def decimal(row, cost):
    return f'{float(per_range(row, cost)):.1f}'


def growths(rows):
    """How much of what it may grow each cost does, from each number of ranges to a larger one."""
    for row in rows:
        for fewer in rows:
            if fewer.machine == row.machine and FLAT_FROM <= fewer.ranges < row.ranges:
                for cost in COSTS:
                    before = per_range(fewer, cost)
                    growth = per_range(row, cost) - before
                    yield growth / max(before * PERCENT / 100, 1), cost, row, fewer


def verdict(rows):
    """A sentence, and whether the cost of a range is flat."""
    found = list(growths(rows))
    not_flat = f'The cost of mapping device memory is not flat ({FLAT})'
    if not found:
        return f'{not_flat}: nothing was measured.', False
    growth, cost, row, fewer = max(found, key=lambda step: step[0])
    worst = (f'{COSTS[cost]} on {row.machine} are {decimal(fewer, cost)} per range with '
             f'{fewer.ranges} ranges and {decimal(row, cost)} with {row.ranges}')
    if growth > 1:
        return f'{not_flat}: {worst}.', False
    machines = ', '.join(dict.fromkeys(row.machine for row in rows))
    most = max(row.ranges for row in rows)
    return (f'The cost of mapping device memory is flat on {machines}, up to {most} ranges: '
            f'{FLAT}. The closest to growing: {worst}.'), True


# Showing

def table(rows):
    """What a range costs, one line per route and cost, one column per number of ranges."""
    lines = [('machine', 'route', 'per range, of', *map(str, NUMBERS))]
    for machine in dict.fromkeys(row.machine for row in rows):
        found = [row for row in rows if row.machine == machine]
        lines += [(machine, ROUTES[found[0].route], words,
                   *(decimal(row, cost) for row in found))
                  for cost, words in COSTS.items() if any(getattr(row, cost) for row in found)]
    return lines


def markdown(rows):
    """The lines of the README."""
    if not rows:
        return []
    header, *lines = table(rows)
    return ['| ' + ' | '.join(header) + ' |', '|---|---|---' + '|--:' * len(NUMBERS) + '|',
            *('| ' + ' | '.join(line) + ' |' for line in lines), '', verdict(rows)[0], '']
