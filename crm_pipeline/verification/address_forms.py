"""Which mailboxes a text names, in whatever spelling: for telling whether two records have the same address."""

import re
import unicodedata
from collections.abc import Iterator

from crm_pipeline.verification.email_syntax import parsed_one
from crm_pipeline.verification.email_texts import FULL_WIDTH, taken_apart, unescaped

_SHOWN = re.compile(r"""[^\s,;|<>()"'\[\]@]+\s*@\s*[^\s,;|<>()"'\[\]@]+""")
"""Texts that may be an address, perhaps with blanks around the @."""
_ESCAPED = re.compile(
    r"""(?:[^\s,;|<>()"'\[\]@&]|&(?!lt;|gt;|quot;|nbsp;|#0*64;)(?:#?\w{1,7};)?)+"""
    r"""(?:@|&#0*64;)[^\s,;|<>()"'\[\]@&]+"""
)
"""Texts that may be an address in which characters are escaped for HTML."""


def mailboxes(text: str) -> dict[str, set[str]]:
    """Return the addresses in a text by their normal form in lower case, each with its spellings.

    The addresses are those that verdicts are on. One whose syntax is bad has no normal form, and is taken as written.
    Spellings are in lower case: as written (also in full width, with blanks around the @, and escaped for HTML), in normal form,
    with the domain in ASCII, with marks apart from their letters.
    """
    found: dict[str, set[str]] = {}
    shown = dict(_shown(text))
    for written in taken_apart(text):
        if "@" in written:
            address = parsed_one(written)
            normal = (address.normalized or written).lower()
            spelled = {normal, written.lower(), shown.get(written, normal)}
            if address.normalized:
                spelled.add(f"{address.local}@{address.domain}".lower())
            apart = {unicodedata.normalize("NFD", one) for one in spelled}
            found.setdefault(normal, set()).update(spelled | apart)
    return found


def spellings(text: str) -> set[str]:
    """Return the spellings of all addresses in a text, see `mailboxes`."""
    return {one for each in mailboxes(text).values() for one in each}


def _shown(text: str) -> Iterator[tuple[str, str]]:
    """Yield addresses that a text spells in another way, and how it does."""
    plain = text.translate(FULL_WIDTH)  # one character for each, so that places stay
    for match in _SHOWN.finditer(plain):
        written = text[match.start() : match.end()]
        address = re.sub(r"\s", "", match[0])
        if written != address:
            yield address, written.lower()
    for match in _ESCAPED.finditer(text):
        if (address := unescaped(match[0])) != match[0]:
            yield address, match[0].lower()


def composed(text: str) -> str:
    """Return a text with full-width characters as ordinary ones, and with marks on their letters."""
    return text if text.isascii() else unicodedata.normalize("NFC", text.translate(FULL_WIDTH))
