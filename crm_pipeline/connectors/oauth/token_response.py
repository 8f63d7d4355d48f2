"""What a token endpoint answered: a JSON object whose values are claims until they were read in their type."""

import re
from typing import Any

from crm_pipeline.wire.decoding import decoded

# Visible ASCII alone: a token goes into a header, where a line end would begin another one.
_TOKEN = re.compile(r"[!-~]{1,16384}")


class TokenResponse(dict[str, Any]):
    """A token answer; its methods raise ValueError for what is not as they name it."""

    @classmethod
    def read(cls, body: bytes, *, owner: str, vendor: str) -> "TokenResponse":
        """Return the answer of a token endpoint.

        Raises:
            MalformedAnswer: it is no JSON object.
        """
        what = f"the login answer of {vendor}"
        return cls(decoded(body, dict[str, Any], owner=owner, what=what))

    def token(self, name: str) -> str:
        """Return a token, which must be there."""
        found = self._of_type(name, str)
        if found is None or _TOKEN.fullmatch(found) is None:
            raise ValueError(f"its {name} is no token")
        return found

    def optional_token(self, name: str) -> str | None:
        """Return a token, None where the answer has none."""
        return self.token(name) if self.get(name) not in (None, "") else None

    def text(self, name: str) -> str:
        """Return a text; "" where there is none. Whole numbers, such as ids, are texts too."""
        found = self.get(name)
        if isinstance(found, int) and not isinstance(found, bool):
            return str(found)
        text = self._of_type(name, str) or ""
        if not text.isprintable():
            raise ValueError(f"its {name} holds control characters")
        return text

    def place(self, name: str) -> str:
        """Return where the account is, which must be there."""
        found = self.text(name)
        if not found:
            raise ValueError(f"it lacks {name}")
        return found

    def _of_type(self, name: str, kind: type[str]) -> str | None:
        found = self.get(name)
        if found is not None and not isinstance(found, kind):
            raise ValueError(f"its {name} is of another type")
        return found
