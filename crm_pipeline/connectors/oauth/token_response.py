"""The response of a token endpoint: a JSON object whose values are checked when they are read."""

import re
from typing import Any

from crm_pipeline.wire.decoding import decoded

# Visible ASCII only: a token goes into a header, where a line end would start another header.
_TOKEN = re.compile(r"[!-~]{1,16384}")


class TokenResponse(dict[str, Any]):
    """A token response; its methods raise ValueError for a value of another form."""

    @classmethod
    def read(cls, body: bytes, *, owner: str, vendor: str) -> "TokenResponse":
        """Return the response of a token endpoint.

        Raises:
            MalformedResponse: the body is no JSON object.
        """
        what = f"the login answer of {vendor}"
        return cls(decoded(body, dict[str, Any], owner=owner, what=what))

    def token(self, name: str) -> str:
        """Return a required token."""
        token = self._of_type(name, str)
        if token is None or _TOKEN.fullmatch(token) is None:
            raise ValueError(f"its {name} is no token")
        return token

    def optional_token(self, name: str) -> str | None:
        """Return a token; None where the response has none."""
        return self.token(name) if self.get(name) not in (None, "") else None

    def text(self, name: str) -> str:
        """Return a text; "" where there is none. Whole numbers, such as ids, become texts."""
        value = self.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        text = self._of_type(name, str) or ""
        if not text.isprintable():
            raise ValueError(f"its {name} holds control characters")
        return text

    def required_text(self, name: str) -> str:
        """Return a text that must be there."""
        text = self.text(name)
        if not text:
            raise ValueError(f"it lacks {name}")
        return text

    def _of_type(self, name: str, kind: type[str]) -> str | None:
        value = self.get(name)
        if value is not None and not isinstance(value, kind):
            raise ValueError(f"its {name} is of another type")
        return value
