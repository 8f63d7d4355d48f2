"""A string that hides itself in every text, and the redaction of texts that we did not write."""

import re

HIDDEN = "***"
_PLAIN = r"[\w-]*(?:token|secret|password|passwd|pwd|api_?-?key|hapikey|assertion|signature)"
_NAMES = rf"{_PLAIN}|code_verifier|code|sig|sid|jwt"
_PAIR = re.compile(rf"(?i)(?<![\w-])({_NAMES})=([^&\s\"']+)")
_FIELD = re.compile(rf"(?i)([\"'])({_NAMES})\1(\s*:\s*)([\"'])(?:\\.|(?!\4)[^\\])*\4")
# A word behind a colon may be a reason ("token: expired"); a word with a digit is taken for a secret.
_HEADER = re.compile(rf"(?i)(?<![\w-])({_PLAIN})(\s*:\s*)(?=[^\s\"',;]*\d)[^\s\"',;]{{8,}}")
_SCHEME = re.compile(r"(?i)\b(bearer|basic|oauth|[\w-]+-oauthtoken)\s+[A-Za-z0-9._~+/!=-]{8,}")
_JWT = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*")
# The documented example is no secret, and a cure that hides it says nothing.
_USERINFO = re.compile(r"(?<=://)(?!user:password@)[^/?#\s\"']+@")


class Secret:
    """Holds a secret that only `reveal()` shows; printing and formatting hide it, pickling fails."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret('{HIDDEN}')"

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return HIDDEN

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a Secret is not written to anything")


def redacted(text: str) -> str:
    """Return the text with tokens, passwords and user information in URLs replaced by asterisks."""
    text = _PAIR.sub(rf"\1={HIDDEN}", text)
    text = _FIELD.sub(rf"\1\2\1\3\4{HIDDEN}\4", text)
    text = _HEADER.sub(rf"\1\2{HIDDEN}", text)
    text = _SCHEME.sub(rf"\1 {HIDDEN}", text)
    text = _JWT.sub(HIDDEN, text)
    return _USERINFO.sub(f"{HIDDEN}@", text)
