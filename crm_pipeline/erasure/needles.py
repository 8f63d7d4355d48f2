"""The forms in which a value may stand in bytes: as received, in other cases and encodings."""

import json
import unicodedata
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

_LEAST = 5
"""Shorter values are in many bytes by chance."""
_ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le")
_MODIFIED = 4  # characters of base64 at an end that depend on the neighbouring bytes


class Needles:
    """Finds values in bytes, in any of their forms.

    Args:
        values: by a name that may be shown, such as `e-mail 1`; the values themselves are never shown.
    """

    def __init__(self, values: Iterable[tuple[str, str]]) -> None:
        self._names: dict[bytes, str] = {}
        for name, value in values:
            for form in forms(value):
                self._names.setdefault(form.lower(), name)

    def __bool__(self) -> bool:
        return bool(self._names)

    @property
    def longest(self) -> int:
        """The number of bytes of the longest form."""
        return max(map(len, self._names), default=1)

    def found(self, data: bytes | memoryview) -> set[str]:
        """Return the names of the values that are in some bytes, whatever the case of their letters."""
        folded = bytes(data).lower()
        return {name for form, name in self._names.items() if form in folded}


def forms(value: str) -> Iterator[bytes]:
    """Yield the forms of a value; none of one that is too short to mean anything."""
    texts = {
        form
        for text in (value, value.strip(), value.casefold(), value.upper())
        for form in (text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFKD", text))
    }
    for text in texts:
        if len(text) < _LEAST:
            continue
        for encoding in _ENCODINGS:
            yield text.encode(encoding, "surrogatepass")
        escaped = json.dumps(text)[1:-1]
        yield from {escaped.encode(), escaped.replace("/", "\\/").encode()}
        yield from {form.encode() for form in (quote(text, safe=""), quote(text), quote_plus(text))}
        yield text.encode("utf-8", "surrogatepass").hex().encode()
        yield from _base64(text.encode("utf-8", "surrogatepass"))


def _base64(plain: bytes) -> Iterator[bytes]:
    """Yield the parts of base64 that a value has wherever it stands in what was encoded."""
    for shift in range(3):
        padded = b"\0" * shift + plain
        for encoded in (b64encode(padded), urlsafe_b64encode(padded)):
            begin = _MODIFIED if shift else 0
            end = len(padded) // 3 * 4
            if end - begin >= 2 * _MODIFIED:
                yield encoded[begin:end]
