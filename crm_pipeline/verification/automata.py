"""Deterministic automata over digits, made from regular expressions.

Telephone metadata are regular expressions over digits. One automaton for all of a numbering plan tells numbers apart
exactly as far as those expressions do: two numbers that end in the same state match the same expressions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from re import _constants as ops  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined] # the one parser of Python's own expressions
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIGITS = 10
END = DIGITS  # stands behind the last digit of a number, and leaves the state as it is
_ANY = (1 << DIGITS) - 1
_ZERO = ord("0")


@dataclass(frozen=True)
class Automaton:
    """States and where digits lead from them; state 0 is the start.

    Attributes:
        table: the next state by state and digit, one row for each state, one column for each digit and for `END`.
        accepts: whether an expression matches as a whole there, by state.
        dead: the state that no expression leaves any more; -1 where there is none.
    """

    table: NDArray[np.int32]
    accepts: NDArray[np.bool_]
    dead: int

    def run(self, numbers: NDArray[np.uint8], begin: int = 0) -> NDArray[np.int32]:
        """Return the state that each row of digits ends in, read from a column on."""
        state = np.zeros(len(numbers), np.int32)
        flat = self.table.ravel()
        for column in range(begin, numbers.shape[1]):
            state = flat[state * (DIGITS + 1) + numbers[:, column]]
        return state

    def alive(self, numbers: NDArray[np.uint8], begin: int = 0) -> NDArray[np.int64]:
        """Return how many digits of each row are read until nothing can match any more, that digit included."""
        state, length = np.zeros(len(numbers), np.int32), np.zeros(len(numbers), np.int64)
        flat = self.table.ravel()
        for column in range(begin, numbers.shape[1]):
            length += (state != self.dead) & (numbers[:, column] != END)
            state = flat[state * (DIGITS + 1) + numbers[:, column]]
        return length


class _Graph:
    """A nondeterministic automaton under construction."""

    def __init__(self) -> None:
        self.free: list[list[int]] = []
        self.steps: list[list[tuple[int, int]]] = []

    def state(self) -> int:
        self.free.append([])
        self.steps.append([])
        return len(self.free) - 1

    def add(self, tree: Iterable[tuple[Any, Any]], start: int) -> int:
        """Add a parsed expression behind a state; return the state behind it."""
        for operation, argument in tree:
            start = self._added(operation, argument, start)
        return start

    def _added(self, operation: Any, argument: Any, start: int) -> int:
        if operation is ops.SUBPATTERN:
            return self.add(argument[3], start)
        if operation is ops.BRANCH:
            return self._branches(argument[1], start)
        if operation is ops.AT and argument is ops.AT_END:
            return start  # expressions are matched as a whole; lengths are told apart elsewhere
        if operation in (ops.MAX_REPEAT, ops.MIN_REPEAT):
            return self._repeated(argument, start)
        after = self.state()
        self.steps[start].append((_digits(operation, argument), after))
        return after

    def _branches(self, branches: Iterable[Any], start: int) -> int:
        after = self.state()
        for branch in branches:
            begin = self.state()
            self.free[start].append(begin)
            self.free[self.add(branch, begin)].append(after)
        return after

    def _repeated(self, argument: tuple[int, Any, Any], start: int) -> int:
        least, most, tree = argument
        for _ in range(least):
            start = self.add(tree, start)
        after = self.state()
        self.free[start].append(after)
        if most is ops.MAXREPEAT:
            self.free[self.add(tree, after)].append(after)
            return after
        for _ in range(most - least):
            start = self.add(tree, start)
            self.free[start].append(after)
        return after

    def closed(self, states: Iterable[int]) -> frozenset[int]:
        """Return the states and all that are reached from them without a digit."""
        reached, waiting = set(states), list(states)
        while waiting:
            for state in self.free[waiting.pop()]:
                if state not in reached:
                    reached.add(state)
                    waiting.append(state)
        return frozenset(reached)


def _digits(operation: Any, argument: Any) -> int:
    """Return the digits that one element of an expression takes, as bits."""
    if operation is ops.ANY or (operation is ops.CATEGORY and argument is ops.CATEGORY_DIGIT):
        return _ANY
    if operation is ops.LITERAL:
        return 1 << (argument - _ZERO) if 0 <= argument - _ZERO < DIGITS else 0
    if operation is ops.RANGE:
        low, high = argument
        return sum(1 << d for d in range(DIGITS) if low <= d + _ZERO <= high)
    if operation is ops.IN:
        bits = 0
        for element in argument:
            bits |= _digits(*element)
        return bits
    raise ValueError(f"An expression over digits was expected; it has {operation}.")


def automaton(expressions: Iterable[str]) -> Automaton:
    """Return the smallest automaton that tells apart what any of the expressions matches as a whole.

    Raises:
        ValueError: an expression looks ahead or back, refers to a group or is anchored.
    """
    graph = _Graph()
    start = graph.state()
    ends: dict[int, int] = {}
    for number, expression in enumerate(dict.fromkeys(expressions)):
        begin = graph.state()
        graph.free[start].append(begin)
        ends[graph.add(parser.parse(expression), begin)] = 1 << number
    return _smallest(*_deterministic(graph, start, ends))


def _deterministic(
    graph: _Graph, start: int, ends: Mapping[int, int]
) -> tuple[list[list[int]], list[int]]:
    """Return next states by state and digit, and what each state has matched, as bits."""
    first = graph.closed({start})
    numbers, order = {first: 0}, [first]
    table: list[list[int]] = []
    closed: dict[frozenset[int], frozenset[int]] = {}  # many digits lead to the same states
    for states in order:  # grows meanwhile
        steps = [step for state in states for step in graph.steps[state]]
        row = []
        for digit in range(DIGITS):
            reached = frozenset(state for bits, state in steps if bits >> digit & 1)
            after = closed.get(reached)
            if after is None:
                after = closed[reached] = graph.closed(reached)
            if after not in numbers:
                numbers[after] = len(order)
                order.append(after)
            row.append(numbers[after])
        table.append(row)
    matched = [sum({ends[state] for state in states if state in ends}) for states in order]
    return table, matched


def _smallest(table: list[list[int]], matched: list[int]) -> Automaton:
    """Merge states that nothing behind them tells apart (Moore's algorithm)."""
    names: dict[int, int] = {}
    block = [names.setdefault(bits, len(names)) for bits in matched]
    while True:
        known: dict[tuple[int, ...], int] = {}
        finer = [
            known.setdefault((block[state], *(block[after] for after in row)), len(known))
            for state, row in enumerate(table)
        ]
        if len(known) == len(set(block)):
            break
        block = finer
    rows = {block[state]: [block[after] for after in row] for state, row in enumerate(table)}
    ends = {block[state] for state, bits in enumerate(matched) if bits}
    dead = [state for state, row in rows.items() if set(row) == {state} and state not in ends]
    array = np.array([[*rows[state], state] for state in range(len(rows))], np.int32)
    accepts = np.array([state in ends for state in range(len(rows))])
    return Automaton(array, accepts, dead[0] if dead else -1)
