"""Slips in the names of the largest mail providers, each with the name that was meant.

Only what a hand does by mistake counts: a letter left out, doubled, swapped with the next one or replaced by its
neighbour on the keyboard, or a slip in the last part (`.con`). The first letter is taken as meant, providers with short
names or names that are words are left out, and a domain that is itself a known provider is no slip of another one, so
that `ymail.com`, `mail.com`, `gmx.net` and companies such as `grail.com` raise no alarm.
"""

from collections.abc import Callable, Iterable, Iterator, Set
from itertools import chain
from string import ascii_lowercase

# The most common free providers whose names are long enough and no words, of the United States, Europe and Asia.
LARGE_PROVIDERS = (
    *("gmail.com", "googlemail.com", "yahoo.com", "hotmail.com", "outlook.com", "icloud.com"),
    *(
        "protonmail.com",
        "fastmail.com",
        "comcast.net",
        "verizon.net",
        "sbcglobal.net",
        "bellsouth.net",
    ),
    *("btinternet.com", "ntlworld.com", "hotmail.co.uk", "yahoo.co.uk", "hotmail.fr", "yahoo.fr"),
    *(
        "wanadoo.fr",
        "laposte.net",
        "t-online.de",
        "freenet.de",
        "hotmail.de",
        "yahoo.de",
        "bluewin.ch",
    ),
    *("hotmail.it", "yahoo.it", "hotmail.es", "yahoo.es", "yandex.ru", "rambler.ru", "seznam.cz"),
    *("rediffmail.com", "yahoo.co.in", "yahoo.com.br", "hotmail.com.br"),
)
# In the list of free providers, but nobody gets a mailbox there: names caught because they are mistyped so often.
_CAUGHT = frozenset({"yaho.com", "yahoo.co", "hotmail.co"})
# Last parts that exist and are hardly ever meant behind the name of one of these providers.
_REAL_SLIPS = frozenset({"co", "cm", "om"})
# Real domains of others that are one slip away.
_OTHERS = frozenset({"gail.com", "gmai.de"})
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def slips(known: Set[str], is_top_level: Callable[[str], bool]) -> dict[str, str]:
    """Return domains that are slips in the name of a large provider, each with that name.

    Args:
        known: domains of providers, which are no slips.
        is_top_level: says whether a top-level domain exists.
    """
    real = (known - _CAUGHT) | set(LARGE_PROVIDERS) | _OTHERS
    found: dict[str, str] = {}
    for provider in LARGE_PROVIDERS:
        label, _, suffix = provider.partition(".")
        ends: Iterable[str] = (
            end for end in _edited(suffix) if not is_top_level(end.split(".")[-1])
        )
        if suffix == "com":
            ends = chain(ends, _REAL_SLIPS)
        names = (f"{name}.{suffix}" for name in _hand_slips(label))
        for domain in chain(names, (f"{label}.{end}" for end in ends)):
            if domain not in real:
                found.setdefault(domain, provider)
    return found


def _hand_slips(label: str) -> Iterator[str]:
    """Yield what hands make of a word of which they meet the first letter."""
    for at in range(1, len(label)):
        before, letter, after = label[:at], label[at], label[at + 1 :]
        yield before + after
        yield before + letter + letter + after
        if after:
            yield before + after[0] + letter + after[1:]
        for other in _beside(letter):
            yield before + other + after
            yield before + letter + other + after
            yield before + other + letter + after


def _beside(letter: str) -> Iterable[str]:
    """Return the neighbours of a letter on the keyboard."""
    row = next((row for row in _ROWS if letter in row), "")
    if not row:
        return ""
    at, number = row.index(letter), _ROWS.index(row)
    near = [row[at - 1 : at] if at else "", row[at + 1 : at + 2]]
    near += [
        other[max(at - 1, 0) : at + 2] for other in _ROWS if abs(_ROWS.index(other) - number) == 1
    ]
    return "".join(near)


def _edited(word: str) -> Iterator[str]:
    """Yield all words that are one edit away: a letter less, more, another, or two swapped."""
    for at in range(len(word) + 1):
        before, after = word[:at], word[at:]
        for letter in ascii_lowercase:
            yield before + letter + after
            if after and letter != after[0]:
                yield before + letter + after[1:]
        if after:
            yield before + after[1:]
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]
