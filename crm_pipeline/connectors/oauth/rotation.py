"""Refresh-token rotation: which token is sent to the vendor, the stored one or the environment's.

A vendor that rotates returns a new refresh token with each login, and the old one is no longer valid. The
environment's token can only start a rotation. So fingerprints of the environment's tokens are stored with
the rotation, and the rule is: **an environment token that the rotation has not seen is newer and is tried
first; one that it has seen is never sent again.**
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.kernel.secret import Secret

Source = Literal["environment", "stored"]


@dataclass(frozen=True)
class TokenRotation:
    """What is stored about a rotation of refresh tokens.

    Attributes:
        app: fingerprint of the address and the app that it belongs to.
        seen: fingerprints of the environment's tokens that it has seen, including the one that started it.
        refused: the last of them that the vendor refused, so that the stored token was used; "" for none.
    """

    app: str
    seen: frozenset[str] = frozenset()
    refused: str = ""

    @classmethod
    def from_extra(cls, extra: Mapping[str, str]) -> "TokenRotation | None":
        """Return the rotation that is stored with a token; None where there is none."""
        if "app" not in extra:
            return None
        seen = frozenset(extra.get("seen", "").split())
        return cls(extra["app"], seen, extra.get("refused", ""))

    def extra(self) -> dict[str, str]:
        """Return the rotation in the form that is stored with a token."""
        return {"app": self.app, "seen": " ".join(sorted(self.seen)), "refused": self.refused}

    def continued(self, from_environment: Secret | None, used: Source) -> "TokenRotation":
        """Return the rotation after a successful login.

        Args:
            from_environment: the environment's token during the login.
            used: which token the login used.
        """
        if from_environment is None:
            return self
        token = token_fingerprint(from_environment)
        if used == "environment":
            return replace(self, seen=self.seen | {token}, refused="")
        refused = self.refused if token in self.seen else token
        return replace(self, seen=self.seen | {token}, refused=refused)


def sources(rotation: TokenRotation | None, from_environment: Secret | None) -> tuple[Source, ...]:
    """Return the sources of a refresh token in the order in which to try them; empty if there is none.

    Args:
        rotation: the stored rotation, if it belongs to this address and app.
        from_environment: the environment's token.
    """
    if rotation is None:
        return ("environment",) if from_environment else ()
    if from_environment is None or token_fingerprint(from_environment) in rotation.seen:
        return ("stored",)
    return ("environment", "stored")


def token_fingerprint(token: Secret) -> str:
    """Return the fingerprint by which a rotation recognises a token."""
    return fingerprint(["refresh token", token.reveal()])
