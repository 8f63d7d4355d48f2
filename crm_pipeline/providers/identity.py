"""Whether an answer is about the person who was asked about."""

import re
import unicodedata
from collections.abc import Iterable

from crm_pipeline.providers.subjects import Person, Subject, normal_email, normal_profile
from crm_pipeline.providers.values import Fact

ANOTHER_PERSON = "ANOTHER_PERSON"
_LETTERS = re.compile(r"[^\W\d_]+")
_UMLAUTS = re.compile(r"([aou])e")


def is_another(subject: Subject, facts: Iterable[Fact]) -> bool:
    """Say whether facts speak of another person than was asked about.

    The same address or profile is the same person, whatever the name. Without one the names decide: two that share
    no word are of two persons. Names in different scripts decide nothing, and people change jobs, so another address
    alone does not.
    """
    if not isinstance(subject, Person):
        return False
    said = {fact.name: str(fact.value) for fact in facts}
    keys = (
        (normal_email(subject.email), normal_email(said.get("email", ""))),
        (normal_profile(subject.profile), normal_profile(said.get("profile", ""))),
    )
    if any(ours and ours == theirs for ours, theirs in keys):
        return False
    asked = f"{subject.name} {subject.first_name} {subject.last_name}"
    named = " ".join(said.get(name, "") for name in ("full_name", "first_name", "last_name"))
    ours, theirs = _words(asked), _words(named)
    if not ours or not theirs or _is_ascii(ours) != _is_ascii(theirs):
        return False
    return not any(_are_alike(one, other) for one in ours for other in theirs)


def _words(text: str) -> set[str]:
    """Return the words of a name without case, accents and spellings of umlauts; single letters are initials."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    marks = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return {_UMLAUTS.sub(r"\1", word) for word in _LETTERS.findall(marks) if len(word) > 1}


def _is_ascii(words: Iterable[str]) -> bool:
    return all(word.isascii() for word in words)


def _are_alike(one: str, other: str) -> bool:
    """Say whether words are the same, or one is a short form of the other, as Alex of Alexander."""
    short, long = sorted((one, other), key=len)
    return long.startswith(short[:3]) if len(short) >= 3 else long == short
