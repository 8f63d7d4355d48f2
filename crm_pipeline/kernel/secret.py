"""A string that hides itself in every text, and the redaction of texts that we did not write."""

import re

HIDDEN = "***"
_QUERY = re.compile(
    r"(?i)\b(access_token|refresh_token|client_secret|client_assertion|assertion|api[_-]?key|api_token|"
    r"password|code|code_verifier|signature|sig|token)=([^&\s\"']+)"
)
_JSON = re.compile(
    r"(?i)\"(access_token|refresh_token|client_secret|id_token|password|api[_-]?key|signature)\""
    r"\s*:\s*\"[^\"]*\""
)
_BEARER = re.compile(r"(?i)\b(bearer|basic|oauth)\s+[A-Za-z0-9._~+/!=-]{8,}")
_USERINFO = re.compile(r"(?<=://)[^/@\s]+:[^/@\s]*@")


class Secret:
    """Holds a secret; only `reveal()` shows it, nothing that prints, formats or pickles does."""

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
    """Return the text with tokens, passwords and user information in URLs blotted out."""
    text = _QUERY.sub(rf"\1={HIDDEN}", text)
    text = _JSON.sub(rf'"\1": "{HIDDEN}"', text)
    text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    return _USERINFO.sub(f"{HIDDEN}@", text)
