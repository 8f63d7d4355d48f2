"""What is said about quarantined rows: what was expected, what to do, and the received form without its values."""

import json
import re
from shlex import quote

from crm_pipeline.kernel.text import printable
from crm_pipeline.store.quarantine.quarantined import Quarantined

_SHOWN = 160
"""Characters of a record that are shown, around its fault."""
_EXPECTED = (
    ("is no JSON object", "a JSON object: text that begins with '{' and has the fields by name"),
    ("no valid JSON", "text that is JSON to its last character"),
    ("is no JSON", "text that is JSON to its last character"),
    ("not UTF-8", "bytes that are UTF-8"),
    ("surrogate", "characters beyond U+FFFF as two escapes that belong together, such as \\ud83d\\ude00"),
    ("nested too deep", "lists and objects that are nested less deep than the parser can follow"),
    ("has no id", "the vendor's id of the record, by which its versions belong together"),
    ("time stamp", "instants between the years 1 and 9999, with their offset from UTC"),
    ("does not say when", "the instant of the record's last change, by which it is ordered"),
    ("documented type", "the id, the time stamp and the mark of deletion in the types that the vendor documents"),
    ("NUL byte", "text without NUL bytes"),
    ("is empty", "the record's fields"),
    ("cells", "as many cells as the header of the page has"),
    ("kept out of it", "a record that can be taken apart, so that the fields that connections.yaml keeps out are cut"),
    ("their file in quarantine", "the file of the quarantined rows as it was written"),
)  # fmt: skip
_PAIR = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF = re.compile(rf"(?:{_PAIR})|(\\u[dD][89a-fA-F][0-9a-fA-F]{{2}})")
_PART = re.compile(r"\\u[0-9a-fA-F]{4}|\\x[0-9a-f]{2}|\\[\"\\/bfnrt]|[^\x00-\x7f]|\w")


def expected(chosen: Quarantined) -> str:
    """Return what rows of a set lack to be used."""
    if chosen.stage == "contract":
        return f"rows of {chosen.table} that keep the rule; `crm-pipeline contract test` judges them all"
    known = (text for part, text in _EXPECTED if part in chosen.reason)
    return next(known, "a record as the vendor documents it")


def cure(chosen: Quarantined) -> str:
    """Return what to do about a set."""
    if chosen.is_dropped:
        return f"`crm-pipeline quarantine drop --undo {chosen.id}` takes the decision back."
    drop = f"`crm-pipeline quarantine drop {chosen.id}` if nobody needs them."
    replay = f"`crm-pipeline quarantine replay {chosen.id}`"
    if chosen.stage == "landing":
        return (
            f"Correct the records in the CRM: the next refresh reads them. {replay} tries the bytes again, which helps "
            f"after an upgrade. If they were spoilt on the way, read them again: `crm-pipeline backfill "
            f"{chosen.connection} --object {quote(chosen.object)}`. {drop}"
        )
    corrected = "the contract or the mapping" if chosen.stage == "contract" else "the mapping"
    return f"Correct the records in the CRM, or {corrected} here, and {replay}. {drop}"


def masked(received: bytes) -> str:
    r"""Return a record around its fault without its values: letters are x, digits 9, punctuation stays.

    Of an escape only its kind is shown: `\ud8xx` and `\udcxx` are the two halves of a pair, `\xhh` is a byte that is no
    text, or a control character.
    """
    text = received.decode("utf-8", "backslashreplace")
    at = _fault(received, text)
    start = max(0, min(at - _SHOWN // 2, len(text) - _SHOWN))
    part = printable(text[start : start + _SHOWN])
    cut = _PART.sub(_plain, part).replace("\n", "\\n")
    return f"{'…' if start else ''}{cut}{'…' if start + _SHOWN < len(text) else ''}"


def _plain(match: re.Match[str]) -> str:
    found = match[0].lower()
    if found.startswith("\\ud") and found[3] in "89abcdef":
        return "\\ud8xx" if found[3] in "89ab" else "\\udcxx"
    if found.startswith(("\\u", "\\x")):
        return "\\uxxxx" if found[1] == "u" else "\\xhh"
    if len(found) > 1:
        return found
    return "9" if found.isdigit() else "x"


def _fault(received: bytes, text: str) -> int:
    """Return about where a record is broken; 0 where that is not known."""
    try:
        received.decode()
    except UnicodeDecodeError as error:
        return len(received[: error.start].decode("utf-8", "backslashreplace"))
    halves = (match.start() for match in _HALF.finditer(text) if match[1])
    first = next(halves, None)
    if first is not None:
        return first
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.pos
    except RecursionError:
        return 0
    return 0
