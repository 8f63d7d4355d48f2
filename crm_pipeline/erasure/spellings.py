"""An address in other spellings: `Jane <jane@x.org>`, `jane @ x.org`, a domain in Unicode or in ASCII, full-width letters.

Texts are read as the stage `verified` reads them, so that a record is found by the address that analysts see.
"""

import re
from collections.abc import Sequence

import pyarrow as pa

from crm_pipeline.verification import judge_emails

PLAIN = r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-z0-9.-]+"
"""A regular expression (RE2) of the texts, in lower case, that are spelled in one way only unless they hold `ASCII_DOMAIN`."""
ASCII_DOMAIN = "xn--"


class Spellings:
    """Tells which texts hold an address.

    Args:
        address: in lower case; one that is none in any normal form is its only spelling.

    Attributes:
        plain: the address, its normal form, and that with the domain in ASCII.
    """

    def __init__(self, address: str) -> None:
        self._forms = {form for forms in _forms([address]).values() for form in forms}
        self.plain = frozenset({address, *self._forms})

    @property
    def pattern(self) -> str:
        """A regular expression (RE2) of the plain forms, with spaces around the @."""
        forms = (re.escape(form).replace("@", r"\s*@\s*") for form in sorted(self.plain))
        return "|".join(forms)

    def among(self, texts: Sequence[str]) -> set[str]:
        """Return the texts that hold the address, perhaps beside others."""
        if not texts or not self._forms:
            return set()
        return {text for text, forms in _forms(texts).items() if forms & self._forms}


def _forms(texts: Sequence[str]) -> dict[str, set[str]]:
    """Return the normal forms of the addresses in each text."""
    judged = judge_emails(pa.array(texts, pa.string()))
    forms: dict[str, set[str]] = {}
    for name in ("email_normalized", "email_ascii"):
        for text, form in zip(judged["value"].to_pylist(), judged[name].to_pylist(), strict=True):
            if form:
                forms.setdefault(text, set()).add(form.casefold())
    return forms
