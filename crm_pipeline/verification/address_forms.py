"""Which mailboxes a text names, in whatever spelling: for telling whether two records have the same address."""

import unicodedata

from crm_pipeline.verification.email_syntax import parsed_one
from crm_pipeline.verification.email_texts import FULL_WIDTH, taken_apart


def mailboxes(text: str) -> dict[str, set[str]]:
    """Return the addresses in a text by their normal form in lower case, each with its spellings.

    The addresses are those that verdicts are on. One whose syntax is bad has no normal form, and is taken as written.
    Spellings are in lower case: as written, in normal form, with the domain in ASCII, with marks apart from their letters.
    """
    found: dict[str, set[str]] = {}
    for written in taken_apart(text):
        if "@" in written:
            address = parsed_one(written)
            normal = (address.normalized or written).lower()
            spelled = {normal, written.lower()}
            if address.normalized:
                spelled.add(f"{address.local}@{address.domain}".lower())
            apart = {unicodedata.normalize("NFD", one) for one in spelled}
            found.setdefault(normal, set()).update(spelled | apart)
    return found


def spellings(text: str) -> set[str]:
    """Return the spellings of all addresses in a text, see `mailboxes`."""
    return {one for each in mailboxes(text).values() for one in each}


def composed(text: str) -> str:
    """Return a text with full-width characters as ordinary ones, and with marks on their letters."""
    return text if text.isascii() else unicodedata.normalize("NFC", text.translate(FULL_WIDTH))
