"""Which refresh token is shown to the vendor: that of the stored chain, or the environment's.

Where the vendor rotates, each refresh token buys its successor and dies: a chain. The environment's token
can only begin one. So a chain remembers the tokens that the environment has held while it lived, as
fingerprints, and the rule is: **a token that the chain has not seen is newer, and is tried first; one
that it has seen is never shown again.**
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.kernel.secret import Secret

Source = Literal["environment", "stored"]


@dataclass(frozen=True)
class TokenRotation:
    """What is remembered about a chain of refresh tokens.

    Attributes:
        app: fingerprint of the address and the app that it belongs to.
        seen: fingerprints of the environment's tokens that it has met, the one it began with among them.
        refused: the last of them that the vendor refused in its favour, or "".
    """

    app: str
    seen: frozenset[str] = frozenset()
    refused: str = ""

    @classmethod
    def remembered(cls, extra: Mapping[str, str]) -> "TokenRotation | None":
        """Read it from what is stored with a token; None where nothing is."""
        if "app" not in extra:
            return None
        seen = frozenset(extra.get("seen", "").split())
        return cls(extra["app"], seen, extra.get("refused", ""))

    def extra(self) -> dict[str, str]:
        """Return what is stored with a token."""
        return {"app": self.app, "seen": " ".join(sorted(self.seen)), "refused": self.refused}

    def continued(self, given: Secret | None, used: Source) -> "TokenRotation":
        """Return the chain after a login that went well, whose environment held `given`."""
        if given is None:
            return self
        mark = mark_of(given)
        if used == "environment":
            return replace(self, seen=self.seen | {mark}, refused="")
        refused = self.refused if mark in self.seen else mark
        return replace(self, seen=self.seen | {mark}, refused=refused)


def sources(rotation: TokenRotation | None, given: Secret | None) -> tuple[Source, ...]:
    """Return where to take the refresh token from, first choice first; empty where there is none.

    Args:
        rotation: the stored one, if it belongs to this address and app.
        given: what the environment holds.
    """
    if rotation is None:
        return ("environment",) if given else ()
    if given is None or mark_of(given) in rotation.seen:
        return ("stored",)
    return ("environment", "stored")


def mark_of(token: Secret) -> str:
    """Return the fingerprint by which a chain knows a token again."""
    return fingerprint(["refresh token", token.reveal()])
