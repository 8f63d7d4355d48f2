"""The elements of the list in a JSON answer, whether or not each of them can be read.

The signs of JSON alone do not tell where an element ends that is broken: a quotation mark too many turns texts
into signs and signs into texts, up to the next one. So what stands behind it is believed where it is a whole
record again, and looks like those that nothing broken stands beside.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec

from crm_pipeline.wire.decoding import UNREADABLE

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|["\[\]{},]', re.DOTALL)
_UNENDED = b'"'
_ID = re.compile(rb'\s*:\s*(?:"([\w.-]{1,64})"|(\d{1,30}))')
_LIST = re.compile(rb"\s*:\s*\[")
_CLOSED_BY = {ord("["): ord("]"), ord("{"): ord("}")}
_SIGN = re.compile(rb'\\.|["\[\]{}]', re.DOTALL)
_BEGIN = re.compile(rb",\s*(?=\{)")
_END = re.compile(rb"\s*(?:,|\Z)")
_SPACE = re.compile(rb"\s*")
_SCALAR = re.compile(rb'(?:"(?:[^"\\]|\\.)*"|[^\s"\[\]{},:]*)', re.DOTALL)
_CONTENT = re.compile(rb'("(?:[^"\\]|\\.)*")|[^\s"\[\]{},:]+', re.DOTALL)
_NAMED = re.compile(rb"\s*:")
# Lists that stand behind the one with the records; no vendor has more than one.
_MOST_LISTS = 16
# How often each byte may be looked at, in elements inside of elements that look whole.
_MOST_LOOKS = 8


def taken_apart(body: bytes, list_name: str) -> tuple[bytes | None, list[bytes]]:
    """Return an answer with its list emptied, and the elements of the list.

    Only brackets, commas and quotation marks are looked at, so that an element may be broken inside: a
    bracket that is never closed ends with the one around it.

    Returns:
        None and nothing where the answer has no such list at its top, or where the list does not end.
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
    """A part of a list: a record, something whole that is none, or what nobody can read."""

    begin: int
    end: int
    kind: Literal["record", "whole", "broken"]


@dataclass(slots=True)
class _Bracket:
    place: int
    sign: int
    # Whether the quotation marks behind it say that it stands in a text.
    is_odd: bool


def records_apart(
    body: bytes, list_name: str, is_record: Callable[[bytes], bool]
) -> tuple[bytes | None, list[bytes]]:
    """Return an answer with its list of records emptied, and the elements of the list.

    A broken element ends where the next record begins. Where that cannot be told, the list cannot.

    Args:
        body: of the answer.
        list_name: the key of the list.
        is_record: whether a text is a record.

    Returns:
        None and nothing where the answer has no such list, or where its elements cannot be told apart.
    """
    opened = _list_begin(body, list_name)
    if opened is None:
        return None, []
    brackets = _brackets(body, opened)
    closed = _list_end(body, opened, brackets, is_record)
    if closed is None:
        return None, []
    ends = _ends([one for one in brackets if one.place < closed])
    pieces = _pieces(body[:closed], opened, ends, is_record)
    if pieces is None or not _mark_doubtful(body, pieces):
        return None, []
    return body[:opened] + body[closed:], [
        body[one.begin : one.end].strip() for one in _joined(pieces)
    ]


def _brackets(body: bytes, begin: int) -> list[_Bracket]:
    """Return the brackets of a text, with a count of the quotation marks behind each, odd or even.

    A text that is whole JSON has its own brackets on one side, whatever stands before it.
    """
    found: list[_Bracket] = []
    is_odd = False
    for token in _SIGN.finditer(body, begin):
        sign = body[token.start()]
        if sign == ord('"'):
            is_odd = not is_odd
        elif sign != ord("\\"):
            found.append(_Bracket(token.start(), sign, is_odd))
    for bracket in found:
        bracket.is_odd ^= is_odd
    return found


def _list_end(
    body: bytes, opened: int, brackets: list[_Bracket], is_record: Callable[[bytes], bool]
) -> int | None:
    """Return where the list ends: there, what stands around it is whole JSON.

    None where that is nowhere, or where another list behind it has records as well.
    """
    places: list[int] = []
    depth = 0
    for bracket in reversed([one for one in brackets if not one.is_odd]):
        if bracket.sign == ord("]") and depth == 1:
            places.append(bracket.place)
        depth += -1 if bracket.sign in _CLOSED_BY else 1
        if depth < 1 or len(places) > _MOST_LISTS:
            break
    whole = [place for place in places if _is_json(body[:opened] + body[place:])]
    try:
        if whole and not any(map(is_record, _listed(b'{"":[' + body[whole[-1] :]))):
            return whole[-1]
    except RecursionError:
        pass  # what stands behind the list is nested too deep
    return None


def _listed(around: bytes) -> Iterator[bytes]:
    for value in msgspec.json.decode(around, type=dict[str, msgspec.Raw]).values():
        if bytes(memoryview(value)[:1]) == b"[":
            yield from map(bytes, msgspec.json.decode(value, type=list[msgspec.Raw]))


def _ends(brackets: list[_Bracket]) -> dict[int, int]:
    """Return, for each bracket that is closed by its like, where that is over."""
    ends: dict[int, int] = {}
    for side in (False, True):
        inside: list[_Bracket] = []
        for bracket in brackets:
            if bracket.is_odd != side:
                continue
            if bracket.sign in _CLOSED_BY:
                inside.append(bracket)
            elif inside and _CLOSED_BY[inside[-1].sign] == bracket.sign:
                ends[inside.pop().place] = bracket.place + 1
            else:
                inside.clear()
    return ends


def _pieces(
    body: bytes, begin: int, ends: dict[int, int], is_record: Callable[[bytes], bool]
) -> list[_Piece] | None:
    """Return the parts of the list at the end of `body`; None where that takes too long."""
    left = _MOST_LOOKS * (len(body) - begin)
    starts = [one.end() for one in _BEGIN.finditer(body, begin)]
    place = 0
    pieces: list[_Piece] = []
    while (begin := _after_space(body, begin)) < len(body):
        piece = _piece(body, begin, ends, is_record)
        left -= piece.end - begin
        if piece.kind == "broken":
            piece.end = len(body)
            while place < len(starts) and left >= 0:
                start = starts[place]
                place += 1
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
    """Return what begins at a place, and is broken where it does not end with a comma or with the list."""
    scalar = _SCALAR.match(body, begin)
    end = ends.get(begin, begin if scalar is None else scalar.end())
    if (body[begin] in _CLOSED_BY and begin not in ends) or not _END.match(body, end):
        return _Piece(begin, end, "broken")
    text = body[begin:end]
    if is_record(text):
        return _Piece(begin, end, "record")
    is_whole = not text or _is_json(_CONTENT.sub(lambda one: b'""' if one[1] else b"0", text))
    return _Piece(begin, end, "whole" if is_whole else "broken")


def _is_json(text: bytes) -> bool:
    """Say whether a text has the form of JSON, as far as its depth lets us see."""
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except RecursionError:
        return True
    except UNREADABLE:
        return False
    return True


def _mark_doubtful(body: bytes, pieces: list[_Piece]) -> bool:
    """Mark as broken what looks like a record and is a part of a broken one; False where nobody can tell.

    In doubt is what stands right beside something broken, and all that stands between two of these: it may be an
    object inside of a broken record, or what a bracket too many has cut from one.
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
    doubtful |= {one - 1 for one in broken if one and body[pieces[one].begin] != ord("{")}
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
    """Return the names in each of the records that are beyond doubt."""
    found = [number for number, piece in enumerate(pieces) if piece.kind == "record"]
    sure = [names[number] for number in found if number not in doubtful]
    # Where both ends of the list are broken: objects in a record rarely begin with the names that it begins with.
    return sure or [
        names[number]
        for number in found
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
    """Say whether a record has the names of one that is sure, or of the broken one before it."""
    own = names[number]
    is_behind, is_before = number - 1 in broken, number + 1 in broken
    like = {*sure, names[number - 1]} if is_behind else set(sure)
    longer = [one for one in like if len(one) > len(own)]
    is_rest = is_behind and any(one[-len(own) :] == own for one in longer)
    is_head = is_before and any(one[: len(own)] == own for one in longer)
    return own in like and not is_rest and not is_head


def _names(text: bytes) -> tuple[bytes, ...]:
    """Return the names of an object's values, as far as they can be read."""
    return tuple(
        token[0]
        for token, sign, depth in signs(text)
        if depth == 1 and sign == ord('"') and _NAMED.match(text, token.end())
    )


def _is_closed(text: bytes) -> bool:
    """Say whether nothing is open at the end of a broken text."""
    depths = [depth for token, _, depth in signs(text + b",") if token.start() == len(text)]
    return depths == [0]


def _joined(pieces: list[_Piece]) -> Iterator[_Piece]:
    """Yield pieces; broken ones side by side are one."""
    waiting: _Piece | None = None
    for piece in pieces:
        if waiting and piece.kind == "broken":
            waiting = _Piece(waiting.begin, piece.end, "broken")
            continue
        if waiting:
            yield waiting
        waiting = piece if piece.kind == "broken" else None
        if not waiting:
            yield piece
    if waiting:
        yield waiting


def _list_begin(body: bytes, list_name: str) -> int | None:
    """Return where the first element of a list begins that is a value of the outermost object."""
    name = f'"{list_name}"'.encode()
    for token, _, depth in signs(body):
        if depth == 1 and token[0] == name and (colon := _LIST.match(body, token.end())):
            return colon.end()
    return None


def signs(body: bytes, begin: int = 0) -> Iterator[tuple[re.Match[bytes], int, int]]:
    """Yield each text, bracket and comma, its first sign, and how many brackets are open before it.

    A bracket that is never closed ends with the one around it; one that nothing opened ends nothing.
    """
    inside: list[int] = []
    # How often each sign would close one of those.
    closing = dict.fromkeys(_CLOSED_BY.values(), 0)
    for token in _TOKEN.finditer(body, begin):
        sign = body[token.start()]
        if token[0] == _UNENDED:
            return  # the brackets behind it may belong to a text that was cut off
        yield token, sign, len(inside)
        if sign in _CLOSED_BY:
            inside.append(_CLOSED_BY[sign])
            closing[inside[-1]] += 1
        elif closing.get(sign):
            last = None
            while last != sign:
                last = inside.pop()  # it, and what was left open inside of it
                closing[last] -= 1


def own_id(text: bytes, name: bytes) -> tuple[str, bool]:
    """Return the id of a record that cannot be read, "" where it is not plain to see; and whether it is torn.

    What is within the record has ids of its own, and so has the next record where brackets are left open.
    """
    ids: list[str] = []
    inside: list[int] = []
    for token in _TOKEN.finditer(text):
        sign = text[token.start()]
        if token[0] == _UNENDED:
            return _only(ids), True
        if sign in _CLOSED_BY:
            inside.append(_CLOSED_BY[sign])
        elif sign in b"]}":
            if not inside or inside.pop() != sign:
                return _only(ids), True
        elif token[0] == name and len(inside) == 1 and (seen := _ID.match(text, token.end())):
            ids.append((seen[1] or seen[2]).decode())
    return _only(ids), bool(inside)


def _only(ids: list[str]) -> str:
    return ids[0] if len(ids) == 1 else ""
