"""The addresses in a text as SQL, for texts that have no verdict: those of deleted records.

It finds an address too many rather than one too few, so it serves for refusals only; which addresses a text names says
`address_forms`. The SQL also runs in the DuckDB that opens the published file: it uses only what DuckDB 1.2 has.
"""

from crm_pipeline.model.names import literal
from crm_pipeline.verification.email_texts import FULL_WIDTH

_FULL_WIDTH = "".join(map(chr, FULL_WIDTH))
_ORDINARY = "".join(one if isinstance(one, str) else chr(one) for one in FULL_WIDTH.values())
_REPLACED = (
    *((r"&(?:apos|#0*39|#x0*27);", "'"), (r"&(?:amp|#0*38|#x0*26);", "&"), ("&#0*64;", "@")),
    (r"&(?:lt|gt|quot|nbsp|#[0-9]{1,5}|#x[0-9a-f]{1,4});", " "),
    *((r"\p{Cf}", ""), ("mailto:", " "), (r"\s*@\s*", "@")),
)
"""What is escaped for HTML, invisible characters, what only shows an address, and blanks around the @."""
_ADDRESS = r"""[^\s,;|<>()"'\[][^\s,;|<>()"]*@[^\s,;|<>()"'?\]]+"""


def addresses_in(text: str) -> str:
    """Return SQL for the list of addresses in a text, in lower case and without what stands around them.

    Args:
        text: SQL for the text; of NULL the list is NULL.
    """
    plain = f"lower(translate({text}, {literal(_FULL_WIDTH)}, {literal(_ORDINARY)}))"
    for pattern, by in _REPLACED:
        plain = f"regexp_replace({plain}, {literal(pattern)}, {literal(by)}, 'g')"
    return f"regexp_extract_all(nfc_normalize({plain}), {literal(_ADDRESS)})"
