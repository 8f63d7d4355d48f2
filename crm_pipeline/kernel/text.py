"""Make other people's texts safe to show: no control characters, no secrets, a bounded length.

A vendor's message or a record's value reaches terminals, logs and Dagster's pages, where it could
move the cursor, hide what follows, or forge a line.
"""

import re

from crm_pipeline.kernel.secret import redacted

_TAB, _LINE_END = 0x09, 0x0A
_HIDDEN = {
    *range(0x20),
    *range(0x7F, 0xA0),
    0x061C,  # this and the next two rows: the direction of text
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
    0x2028,
    0x2029,
    *range(0xD800, 0xE000),  # surrogates, which no terminal and no file can take
} - {_TAB, _LINE_END}
_CONTROL = re.compile(f"[{re.escape(''.join(map(chr, sorted(_HIDDEN))))}]")
_VENDOR_CHARACTERS = 300


def printable(text: str) -> str:
    r"""Return the text with control characters written out, such as `\x1b`; tabs and line ends stay."""
    if text.isascii() and text.isprintable():
        return text
    return _CONTROL.sub(_written_out, text)


def on_one_line(text: str) -> str:
    """Return the text on one line, so that a foreign text cannot pass for a line of ours."""
    return printable(" ".join(text.split()))


def shortened(text: str, characters: int) -> str:
    """Return the text, cut to at most so many characters."""
    return text if len(text) <= characters else text[: characters - 1] + "…"


def vendor_text(value: object, characters: int = _VENDOR_CHARACTERS) -> str:
    """Return a vendor's text for quoting in an error: one line without secrets, shortened."""
    # Cut before as well: the text to redact may be as long as a whole response.
    text = str(value if value is not None else "")[: 20 * characters]
    return shortened(on_one_line(redacted(text)), characters)


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
