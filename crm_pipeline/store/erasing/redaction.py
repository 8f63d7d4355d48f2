"""Replace values in texts, whatever they are part of: plain texts, JSON with its escapes, addresses of web pages."""

import json
import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any
from urllib.parse import quote

MARK = "[erased]"
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
# An address ends where no character follows that could belong to a longer one.
_BEFORE, _AFTER = r"(?<![\w.+-])", r"(?![\w-]|\.\w)"


class Redaction:
    """Replaces some values by a mark; letters count in whatever case.

    Args:
        values: addresses or names.
    """

    def __init__(self, values: Iterable[str]) -> None:
        self._values = sorted({value for value in values if value.strip()}, key=len, reverse=True)
        spelled = [form for value in self._values for form in (value, quote(value, safe=""))]
        self._pattern = re.compile(
            f"{_BEFORE}(?:{'|'.join(map(re.escape, dict.fromkeys(spelled)))}){_AFTER}",
            re.IGNORECASE,
        )

    def __bool__(self) -> bool:
        return bool(self._values)

    @cached_property
    def candidates(self) -> str:
        """A regular expression (RE2) that every text with a value matches, and few others."""
        forms = {
            form
            for value in self._values
            for form in (
                value,
                quote(value, safe=""),
                json.dumps(value)[1:-1],
                json.dumps(value)[1:-1].replace("@", "\\u0040"),
            )
        }
        return "(?i)" + "|".join(map(_escaped, sorted(forms)))

    def text(self, text: str) -> str:
        """Return a text without the values; in JSON only strings change."""
        if not self._values:
            return text
        if text.lstrip()[:1] in ("{", "["):
            # Broken JSON has strings without an end, so the rest is searched as well.
            text = _STRING.sub(self._string, text)
        return self._pattern.sub(MARK, text)

    def bytes(self, raw: bytes) -> bytes:
        """Return bytes without the values, as far as they are UTF-8; other bytes stay."""
        text = raw.decode("utf-8", "surrogateescape")
        return self.text(text).encode("utf-8", "surrogateescape")

    def value(self, value: Any) -> Any:
        """Return a value of JSON or Arrow without the values, in all its texts."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return self.bytes(value)
        if isinstance(value, dict):
            return {name: self.value(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.value(each) for each in value]
        return value

    def _string(self, token: re.Match[str]) -> str:
        try:
            plain = json.loads(token[0], strict=False)
        except ValueError:
            return token[0]
        # A string may hold JSON itself.
        redacted = self.text(plain) if plain.lstrip()[:1] in ("{", "[") else None
        redacted = self._pattern.sub(MARK, plain if redacted is None else redacted)
        return token[0] if redacted == plain else json.dumps(redacted, ensure_ascii=False)


def _escaped(form: str) -> str:
    return re.sub(r"([^\w\s@-])", r"\\\1", form) if form.isascii() else re.escape(form)
