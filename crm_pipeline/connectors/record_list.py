"""The elements of the list in a JSON response, even where some of them are broken JSON.

The tokens of JSON alone do not show where a broken element ends: an extra quotation mark turns strings into structure
and structure into strings, up to the next mark. So an element after a broken one is accepted where it is a whole
record and has the keys of records that have no broken neighbour.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec

from crm_pipeline.wire.decoding import UNREADABLE

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|["\[\]{},]', re.DOTALL)
_UNCLOSED = b'"'
_ID = re.compile(rb'\s*:\s*(?:"([\w.-]{1,64})"|(\d{1,30}))')
_LIST = re.compile(rb"\s*:\s*\[")
_CLOSED_BY = {ord("["): ord("]"), ord("{"): ord("}")}
_BRACKET = re.compile(rb'\\.|["\[\]{}]', re.DOTALL)
_BEGIN = re.compile(rb",\s*(?=\{)")
_END = re.compile(rb"\s*(?:,|\Z)")
_SPACE = re.compile(rb"\s*")
_SCALAR = re.compile(rb'(?:"(?:[^"\\]|\\.)*"|[^\s"\[\]{},:]*)', re.DOTALL)
_CONTENT = re.compile(rb'("(?:[^"\\]|\\.)*")|[^\s"\[\]{},:]+', re.DOTALL)
_NAMED = re.compile(rb"\s*:")
# Lists after the one with the records; no vendor sends more than one.
_MOST_LISTS = 16
# How often each byte may be read, because elements nest inside of elements that look whole.
_MOST_VISITS = 8


def taken_apart(body: bytes, list_name: str) -> tuple[bytes | None, list[bytes]]:
    """Return a response with its list emptied, and the elements of the list.

    Only brackets, commas and quotation marks are read, so that an element may be broken inside: a bracket that
    is never closed ends with the one around it.

    Returns:
        None and an empty list where the response has no such list at its top level, or the list does not end.
    """
    opened = _list_begin(body, list_name)
    if opened is None:
        return None, []
    elements: list[bytes] = []
    begin = opened
    for token, sign, depth in signs(body, opened):
        if not depth and sign in b",]":
            element = body[begin : token.start()].strip()
            if element or sign == ord(","):
                elements.append(element)
            begin = token.end()
            if sign == ord("]"):
                return body[:opened] + body[token.start() :], elements
    return None, []


@dataclass
class _Piece:
    """A part of a list: a record, another valid JSON value, or broken JSON."""

    begin: int
    end: int
    kind: Literal["record", "whole", "broken"]


@dataclass(slots=True)
class _Bracket:
    offset: int
    sign: int
    # Whether the number of quotation marks after it is odd, so that it should be inside of a string.
    is_odd: bool


def records_apart(
    body: bytes, list_name: str, is_record: Callable[[bytes], bool]
) -> tuple[bytes | None, list[bytes]]:
    """Return a response with its list of records emptied, and the elements of the list.

    A broken element ends where the next record begins. Where that is ambiguous, the list cannot be split.

    Args:
        body: of the response.
        list_name: the key of the list.
        is_record: returns whether a text is a record.

    Returns:
        None and an empty list where the response has no such list, or the list cannot be split.
    """
    opened = _list_begin(body, list_name)
    if opened is None:
        return None, []
    brackets = _brackets(body, opened)
    closed = _list_end(body, opened, brackets, is_record)
    if closed is None:
        return None, []
    ends = _ends([bracket for bracket in brackets if bracket.offset < closed])
    pieces = _pieces(body[:closed], opened, ends, is_record)
    if pieces is None or not _mark_doubtful(body, pieces):
        return None, []
    return body[:opened] + body[closed:], [
        body[piece.begin : piece.end].strip() for piece in _joined(pieces)
    ]


def _brackets(body: bytes, begin: int) -> list[_Bracket]:
    """Return the brackets of a text, each with the parity of the quotation marks after it.

    All brackets of a valid JSON value have the same parity, whatever stands before the value.
    """
    brackets: list[_Bracket] = []
    is_odd = False
    for token in _BRACKET.finditer(body, begin):
        sign = body[token.start()]
        if sign == ord('"'):
            is_odd = not is_odd
        elif sign != ord("\\"):
            brackets.append(_Bracket(token.start(), sign, is_odd))
    for bracket in brackets:
        bracket.is_odd ^= is_odd
    return brackets


def _list_end(
    body: bytes, opened: int, brackets: list[_Bracket], is_record: Callable[[bytes], bool]
) -> int | None:
    """Return the end of the list: the offset at which the text around the list is valid JSON.

    None where there is no such offset, or where another list after it has records as well.
    """
    offsets: list[int] = []
    depth = 0
    for bracket in reversed([each for each in brackets if not each.is_odd]):
        if bracket.sign == ord("]") and depth == 1:
            offsets.append(bracket.offset)
        depth += -1 if bracket.sign in _CLOSED_BY else 1
        if depth < 1 or len(offsets) > _MOST_LISTS:
            break
    valid = [offset for offset in offsets if _is_json(body[:opened] + body[offset:])]
    try:
        if valid and not any(map(is_record, _listed(b'{"":[' + body[valid[-1] :]))):
            return valid[-1]
    except RecursionError:
        pass  # the rest of the response is nested too deep
    return None


def _listed(around: bytes) -> Iterator[bytes]:
    for value in msgspec.json.decode(around, type=dict[str, msgspec.Raw]).values():
        if bytes(memoryview(value)[:1]) == b"[":
            yield from map(bytes, msgspec.json.decode(value, type=list[msgspec.Raw]))


def _ends(brackets: list[_Bracket]) -> dict[int, int]:
    """Return the end of each opening bracket that has a matching closing one, by offset."""
    ends: dict[int, int] = {}
    for parity in (False, True):
        inside: list[_Bracket] = []
        for bracket in brackets:
            if bracket.is_odd != parity:
                continue
            if bracket.sign in _CLOSED_BY:
                inside.append(bracket)
            elif inside and _CLOSED_BY[inside[-1].sign] == bracket.sign:
                ends[inside.pop().offset] = bracket.offset + 1
            else:
                inside.clear()
    return ends


def _pieces(
    body: bytes, begin: int, ends: dict[int, int], is_record: Callable[[bytes], bool]
) -> list[_Piece] | None:
    """Return the parts of the list at the end of `body`; None where that takes too many steps."""
    left = _MOST_VISITS * (len(body) - begin)
    starts = [match.end() for match in _BEGIN.finditer(body, begin)]
    index = 0
    pieces: list[_Piece] = []
    while (begin := _after_space(body, begin)) < len(body):
        piece = _piece(body, begin, ends, is_record)
        left -= piece.end - begin
        if piece.kind == "broken":
            piece.end = len(body)
            while index < len(starts) and left >= 0:
                start = starts[index]
                index += 1
                if start <= begin:
                    continue
                following = _piece(body, start, ends, is_record)
                left -= following.end - start
                if following.kind == "record":
                    piece.end = body.rindex(b",", begin, start)
                    break
        if left < 0:
            return None
        pieces.append(piece)
        end = _END.match(body, piece.end)
        begin = end.end() if end else len(body)
    return pieces


def _after_space(body: bytes, begin: int) -> int:
    space = _SPACE.match(body, begin)
    return space.end() if space else begin


def _piece(
    body: bytes, begin: int, ends: dict[int, int], is_record: Callable[[bytes], bool]
) -> _Piece:
    """Return the part that begins at an offset; it is broken where neither a comma nor the list's end follows."""
    scalar = _SCALAR.match(body, begin)
    end = ends.get(begin, begin if scalar is None else scalar.end())
    if (body[begin] in _CLOSED_BY and begin not in ends) or not _END.match(body, end):
        return _Piece(begin, end, "broken")
    text = body[begin:end]
    if is_record(text):
        return _Piece(begin, end, "record")
    is_whole = not text or _is_json(_CONTENT.sub(lambda match: b'""' if match[1] else b"0", text))
    return _Piece(begin, end, "whole" if is_whole else "broken")


def _is_json(text: bytes) -> bool:
    """Return whether a text is valid JSON; True where it is nested too deep to tell."""
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except RecursionError:
        return True
    except UNREADABLE:
        return False
    return True


def _mark_doubtful(body: bytes, pieces: list[_Piece]) -> bool:
    """Mark apparent records that are parts of a broken one as broken; return False where that is ambiguous.

    A record is doubtful beside a broken part, or between two of them: it may be an object inside of a broken
    record, or a piece that an extra bracket has cut off.
    """
    broken = [number for number, piece in enumerate(pieces) if piece.kind == "broken"]
    if not broken:
        return True
    names = {
        number: _names(body[piece.begin : piece.end])
        for number, piece in enumerate(pieces)
        if piece.kind != "whole"
    }
    first, last = broken[0], broken[-1]
    doubtful = set(range(first + 1, min(last + 2, len(pieces))))
    doubtful |= {
        number - 1 for number in broken if number and body[pieces[number].begin] != ord("{")
    }
    sure = _sure(pieces, names, doubtful)
    for number in sorted(doubtful):
        if pieces[number].kind != "record":
            continue
        if _is_like(number, names, sure, broken):
            continue
        if len(sure) > 1 and len(set(sure)) == 1:
            pieces[number].kind = "broken"
        elif number <= last or not _is_closed(body[pieces[last].begin : pieces[last].end]):
            return False
    return True


def _sure(
    pieces: list[_Piece], names: dict[int, tuple[bytes, ...]], doubtful: set[int]
) -> list[tuple[bytes, ...]]:
    """Return the key names of each record that is beyond doubt."""
    candidates = [number for number, piece in enumerate(pieces) if piece.kind == "record"]
    sure = [names[number] for number in candidates if number not in doubtful]
    # Where both ends of the list are broken: a nested object rarely begins with the same keys as its record.
    return sure or [
        names[number]
        for number in candidates
        if number - 1 in names
        and len(names[number]) > 1
        and names[number][:2] == names[number - 1][:2]
        and pieces[number - 1].kind == "broken"
    ]


def _is_like(
    number: int,
    names: dict[int, tuple[bytes, ...]],
    sure: list[tuple[bytes, ...]],
    broken: list[int],
) -> bool:
    """Return whether a record has the keys of one that is sure, or of the broken one before it."""
    own = names[number]
    is_behind, is_before = number - 1 in broken, number + 1 in broken
    like = {*sure, names[number - 1]} if is_behind else set(sure)
    longer = [keys for keys in like if len(keys) > len(own)]
    is_rest = is_behind and any(keys[-len(own) :] == own for keys in longer)
    is_head = is_before and any(keys[: len(own)] == own for keys in longer)
    return own in like and not is_rest and not is_head


def _names(text: bytes) -> tuple[bytes, ...]:
    """Return the keys of an object, as far as they can be read."""
    return tuple(
        token[0]
        for token, sign, depth in signs(text)
        if depth == 1 and sign == ord('"') and _NAMED.match(text, token.end())
    )


def _is_closed(text: bytes) -> bool:
    """Return whether no bracket is open at the end of a broken text."""
    depths = [depth for token, _, depth in signs(text + b",") if token.start() == len(text)]
    return depths == [0]


def _joined(pieces: list[_Piece]) -> Iterator[_Piece]:
    """Yield the parts; adjacent broken ones are joined."""
    pending: _Piece | None = None
    for piece in pieces:
        if pending and piece.kind == "broken":
            pending = _Piece(pending.begin, piece.end, "broken")
            continue
        if pending:
            yield pending
        pending = piece if piece.kind == "broken" else None
        if not pending:
            yield piece
    if pending:
        yield pending


def _list_begin(body: bytes, list_name: str) -> int | None:
    """Return the offset of the first element of a list at the top level of a response."""
    name = f'"{list_name}"'.encode()
    for token, _, depth in signs(body):
        if depth == 1 and token[0] == name and (colon := _LIST.match(body, token.end())):
            return colon.end()
    return None


def signs(body: bytes, begin: int = 0) -> Iterator[tuple[re.Match[bytes], int, int]]:
    """Yield each string, bracket and comma, its first character, and the number of open brackets before it.

    A bracket that is never closed ends with the one around it; a closing bracket without an opening one is ignored.
    """
    inside: list[int] = []
    # How many open brackets each character would close.
    closing = dict.fromkeys(_CLOSED_BY.values(), 0)
    for token in _TOKEN.finditer(body, begin):
        sign = body[token.start()]
        if token[0] == _UNCLOSED:
            return  # later brackets may belong to a string that was cut off
        yield token, sign, len(inside)
        if sign in _CLOSED_BY:
            inside.append(_CLOSED_BY[sign])
            closing[inside[-1]] += 1
        elif closing.get(sign):
            last = None
            while last != sign:
                last = inside.pop()  # including unclosed brackets inside of it
                closing[last] -= 1


def own_id(text: bytes, name: bytes) -> tuple[str, bool]:
    """Return the id of an unreadable record ("" where it is ambiguous), and whether the record is torn.

    Nested objects have ids of their own, and so has the next record where brackets are left open.
    """
    ids: list[str] = []
    inside: list[int] = []
    for token in _TOKEN.finditer(text):
        sign = text[token.start()]
        if token[0] == _UNCLOSED:
            return _only(ids), True
        if sign in _CLOSED_BY:
            inside.append(_CLOSED_BY[sign])
        elif sign in b"]}":
            if not inside or inside.pop() != sign:
                return _only(ids), True
        elif token[0] == name and len(inside) == 1 and (match := _ID.match(text, token.end())):
            ids.append((match[1] or match[2]).decode())
    return _only(ids), bool(inside)


def _only(ids: list[str]) -> str:
    return ids[0] if len(ids) == 1 else ""
