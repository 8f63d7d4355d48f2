"""Telephone numbers in texts as people leave them in CRMs: one, several, with labels and extensions.

Most texts are one number and are taken as they are, whatever stands around it: the library finds it there. A text is
taken apart only where two numbers can be seen in it; nothing is guessed about the others.
"""

import re
from collections.abc import Iterator
from itertools import chain, islice

import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.verification.parts import Parts, most_parts, taken_from

_SUSPECT = (
    "[;|\n\r\t,&\uff1b\uff0c\u3001]|[0-9].*[+\uff0b]"
    r"|(?:[0-9][^0-9]*){7}/(?:[^0-9]*[0-9]){7}"
    r"|(?:[0-9][^0-9]*){7}[ (]\(?\pL[^0-9]*$"
    r"|(?i:[0-9].*\b(?:or|and|und|oder|et|ou|y|bzw)\b)"
    r"|[0-9] *#+ *$|^ *\+?[0-9]{7,15}\.0+ *$|^ *[1-9]\.[0-9]+[Ee]\+?[0-9]{1,2} *$"
    r"|(?i:ext[a-z]*[.: ]*#)"
)
_SEPARATORS = re.compile(
    r"[;|\n\r\t,&\uff1b\uff0c\u3001]+|\s(?:or|and|und|oder|et|ou|y|bzw\.?)\s|(?<=\d)\s*(?=[+\uff0b]\d)",
    re.IGNORECASE,
)
_SLASH_DIGITS = 7
"""A slash stands between two numbers where each has so many digits; otherwise behind an area code."""
_EXTENSION = re.compile(r"\s*(?:ext|x|#|durchwahl|dw|int|anexo|доб)\W*\d{1,7}\W*$", re.IGNORECASE)
# RFC 3966 has parameters behind semicolons.
_URI = re.compile(r"tel:|;ext=|;phone-context=|;isub=", re.IGNORECASE)
# What follows a whole number is a label; the library would read its letters as digits. A word without brackets may be
# meant for digits, as in 1 800 555 HELP, unless so many stand before it that no number has room for it.
_LABELLED = re.compile(r"((?:\D*\d){7,})(?:[\s(]*\([^\W\d_]\D*|\s+[^\W\d_]\D*)")
# The mark of an extension that nobody gave, and the fraction of a number that a spreadsheet or a data frame took for a
# decimal one: with its noughts as further digits it may be somebody else's number.
_LEFTOVER = re.compile(r"(?<=\d)\s*#+\s*$|(?<=\d)\.0+\s*$")
_DECIMAL = re.compile(r"\s*\+?\d{7,15}\.0+\s*")
# So do programs in Java write it: 3.108207129E9. It is a number again where no digit was rounded away.
_EXPONENT = re.compile(r"\s*([1-9])\.(\d+)[Ee]\+?(\d{1,2})\s*")
# Two marks of one extension: the library takes the letters of the first for digits.
_DOUBLE_MARK = re.compile(r"(ext(?:ension|n)?)[.:\s]*#\s*(?=\d)", re.IGNORECASE)
_ROOM_FOR_WORDS = 9
_FEWEST_DIGITS = 6


def numbers_of(texts: pa.StringArray) -> Parts:
    """Return the numbers of each text, in order and as written; a text has at least one, null has none.

    Pass distinct values: a text that may hold several costs some 10 microseconds.
    """
    return taken_from(texts, pc.invert(pc.match_substring_regex(texts, _SUSPECT)), taken_apart)


def taken_apart(text: str) -> list[str]:
    """Return the numbers of one text, one to 500, as written but for labels behind them."""
    if _URI.search(text):
        return [text]
    numbers = list(islice(_numbers(text), most_parts(text)))
    return [_unlabelled(number) for number in (numbers if len(numbers) > 1 else [text])]


def _unlabelled(number: str) -> str:
    number = _DOUBLE_MARK.sub(r"\1 ", number)
    if (parts := _EXPONENT.fullmatch(number)) and len(parts[2]) == int(parts[3]):
        return parts[1] + parts[2]
    if number.rstrip().endswith("#") or _DECIMAL.fullmatch(number):
        number = _LEFTOVER.sub("", number)
    labelled = _LABELLED.fullmatch(number)
    if not labelled or ("(" not in number[labelled.end(1) :] and _digits(number) < _ROOM_FOR_WORDS):
        return number
    return labelled[1]


def _numbers(text: str) -> Iterator[str]:
    """Yield the parts of a text that have as many digits as a number, with the extension that follows one."""
    number = ""
    for part in chain.from_iterable(map(_halves, _SEPARATORS.split(text))):
        if _digits(part) >= _FEWEST_DIGITS:
            if number:
                yield number
            number = part.strip()
        elif number and _EXTENSION.match(part):
            number = f"{number} {part.strip()}"
    if number:
        yield number


def _halves(part: str) -> list[str]:
    halves = part.split("/")
    return halves if all(_digits(half) >= _SLASH_DIGITS for half in halves) else [part]


def _digits(part: str) -> int:
    return sum(character.isdecimal() for character in part)
