"""OAuth grants of an emulated vendor: access tokens, refresh tokens and codes, and how they end.

This module keeps which account a token belongs to. The vendors' folders make the responses.
"""

import secrets
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from crm_sandbox.clock import SandboxClock


@dataclass(frozen=True)
class Access:
    """One access token."""

    token: str
    account: str
    scopes: frozenset[str]
    expires_at: datetime | None
    refresh: str = ""


@dataclass(frozen=True)
class _Chain:
    account: str
    scopes: frozenset[str]


@dataclass(frozen=True)
class _Code:
    account: str
    scopes: frozenset[str]
    redirect_uri: str
    until: datetime


def mint(kind: str) -> str:
    """Return a token that nobody can guess; `kind` is `access`, `refresh` or `code`."""
    return f"sandbox-{kind}-{secrets.token_urlsafe(32)}"


class GrantStore:
    """Every token and code that was given out.

    Args:
        clock: the sandbox's.
        lifetime_s: of an access token.
        rotates: a refresh ends the refresh token and gives a new one.
        most_access: living access tokens of one refresh token; one more ends the oldest.
        most_refresh: living refresh tokens of one account; one more ends the oldest.
        mint: makes a token of a kind, so that it looks like the vendor's.
    """

    def __init__(
        self,
        clock: SandboxClock,
        *,
        lifetime_s: float,
        rotates: bool = False,
        most_access: int | None = None,
        most_refresh: int | None = None,
        mint: Callable[[str], str] = mint,
    ) -> None:
        self.lifetime_s = lifetime_s
        self.rotates = rotates
        self.most_access = most_access
        self.most_refresh = most_refresh
        self._clock = clock
        self._mint = mint
        self._lock = threading.RLock()
        self._access: dict[str, Access] = {}
        self._ended: set[str] = set()
        self._chains: dict[str, _Chain] = {}
        self._codes: dict[str, _Code] = {}

    def lasting(self, token: str, account: str, scopes: Iterable[str] = ()) -> None:
        """Give out an access token that never expires, as private apps have."""
        with self._lock:
            self._access[token] = Access(token, account, frozenset(scopes), None)

    def issue(self, account: str, scopes: Iterable[str] = (), *, refresh: str = "") -> Access:
        """Give out an access token."""
        until = self._clock.now() + timedelta(seconds=self.lifetime_s)
        made = Access(self._mint("access"), account, frozenset(scopes), until, refresh)
        with self._lock:
            self._access[made.token] = made
            if refresh and self.most_access is not None:
                living = [one.token for one in self._access.values() if one.refresh == refresh]
                for token in living[: -self.most_access]:
                    self._end(token)
        return made

    def find(self, token: str) -> Access | None:
        """Return a living access token."""
        with self._lock:
            found = self._access.get(token)
            if found is None:
                return None
            if found.expires_at is not None and found.expires_at <= self._clock.now():
                self._end(token)
                return None
            return found

    def is_expired(self, token: str) -> bool:
        """Tell whether this was an access token once and is none any more."""
        return self.find(token) is None and token in self._ended

    def begin_chain(self, account: str, scopes: Iterable[str] = (), token: str = "") -> str:
        """Give out a refresh token, as a person's consent does."""
        made = token or self._mint("refresh")
        with self._lock:
            self._chains[made] = _Chain(account, frozenset(scopes))
            if self.most_refresh is not None:
                mine = [key for key, one in self._chains.items() if one.account == account]
                for key in mine[: -self.most_refresh]:
                    del self._chains[key]
        return made

    def refresh(self, token: str) -> tuple[Access, str] | None:
        """Trade a refresh token for an access token and the refresh token that is valid from now on."""
        with self._lock:
            chain = self._chains.get(token)
            if chain is None:
                return None
            following = token
            if self.rotates:
                del self._chains[token]
                following = self.begin_chain(chain.account, chain.scopes)
            return self.issue(chain.account, chain.scopes, refresh=following), following

    def code(
        self, account: str, scopes: Iterable[str], redirect_uri: str, lifetime_s: float
    ) -> str:
        """Give out an authorization code."""
        made = self._mint("code")
        until = self._clock.now() + timedelta(seconds=lifetime_s)
        with self._lock:
            self._codes[made] = _Code(account, frozenset(scopes), redirect_uri, until)
        return made

    def redeem(self, code: str, redirect_uri: str) -> tuple[str, frozenset[str]] | None:
        """Take a code, once, and return its account and scopes; None where it is none or too old."""
        with self._lock:
            found = self._codes.pop(code, None)
        if found is None or found.until <= self._clock.now():
            return None
        return (found.account, found.scopes) if found.redirect_uri == redirect_uri else None

    def chains(self, account: str) -> list[str]:
        """Return the living refresh tokens of an account, newest last."""
        with self._lock:
            return [token for token, one in self._chains.items() if one.account == account]

    def revoke(self, token: str) -> bool:
        """End a token; a refresh token takes its access tokens with it."""
        with self._lock:
            if token in self._access:
                self._end(token)
                return True
            chain = self._chains.pop(token, None)
            if chain is None:
                return False
            for one in [one for one in self._access.values() if one.refresh == token]:
                self._end(one.token)
            return True

    def expire(self) -> int:
        """End every access token that can expire; return how many there were."""
        with self._lock:
            ending = [one.token for one in self._access.values() if one.expires_at is not None]
            for token in ending:
                self._end(token)
        return len(ending)

    def _end(self, token: str) -> None:
        del self._access[token]
        self._ended.add(token)
