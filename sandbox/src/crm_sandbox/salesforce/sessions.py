"""Access and refresh tokens of the org, with their users and ends."""

import secrets
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from crm_sandbox.clock import SandboxClock
from crm_sandbox.salesforce.credentials import REFRESH_TOKEN

IDLE_SESSION = timedelta(hours=2)
IDLE_REFRESH = timedelta(days=30)


@dataclass
class Session:
    """One access token."""

    token: str
    issued_at: datetime
    used_at: datetime


class SessionStore:
    """Every token that works now.

    Args:
        clock: the sandbox's.
        organization_id: of the org that the tokens belong to.
        since: when the refresh token was given out.

    Attributes:
        rotation: whether a refresh replaces the refresh token and ends earlier sessions.
    """

    def __init__(self, clock: SandboxClock, organization_id: str, since: datetime) -> None:
        self._clock = clock
        self._prefix = organization_id[:15]
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._refresh: dict[str, datetime] = {REFRESH_TOKEN: since}
        self.rotation = False

    def issue(self) -> Session:
        """Open a session."""
        now = self._clock.now()
        token = f"{self._prefix}!{secrets.token_urlsafe(48).replace('-', '.')}"
        session = Session(token, now, now)
        with self._lock:
            self._sessions[token] = session
        return session

    def find(self, token: str) -> Session | None:
        """Return the living session of an access token, without using it."""
        with self._lock:
            session = self._sessions.get(token)
            if session is not None and self._clock.now() - session.used_at > IDLE_SESSION:
                del self._sessions[token]
                return None
            return session

    def use(self, token: str) -> Session | None:
        """Return the living session of an access token; any use keeps it alive."""
        session = self.find(token)
        if session is not None:
            session.used_at = self._clock.now()
        return session

    def refresh(self, token: str) -> tuple[Session, str] | None:
        """Trade a refresh token for a session and, with rotation, the next refresh token.

        Returns:
            The session and the new refresh token (empty without rotation); nothing when the token
            is dead.
        """
        now = self._clock.now()
        with self._lock:
            used = self._refresh.get(token)
            if used is None or now - used > IDLE_REFRESH:
                self._refresh.pop(token, None)
                return None
            self._refresh[token] = now
            following = ""
            if self.rotation:
                del self._refresh[token]
                following = f"sandbox-refresh-{secrets.token_urlsafe(24)}"
                self._refresh[following] = now
                self._sessions.clear()
        return self.issue(), following

    def begin_chain(self) -> str:
        """Give out a first refresh token, as a user's consent does."""
        token = f"sandbox-refresh-{secrets.token_urlsafe(24)}"
        with self._lock:
            self._refresh[token] = self._clock.now()
        return token

    def restore_refresh_token(self) -> None:
        """Make the documented refresh token work again, as authorizing the app anew does."""
        with self._lock:
            self._refresh = {REFRESH_TOKEN: self._clock.now()}

    def knows_refresh(self, token: str) -> bool:
        """Tell whether a refresh token works."""
        with self._lock:
            used = self._refresh.get(token)
        return used is not None and self._clock.now() - used <= IDLE_REFRESH

    def revoke(self, token: str) -> bool:
        """End a session or a refresh token; a refresh token takes every session with it."""
        with self._lock:
            if self._sessions.pop(token, None) is not None:
                return True
            if self._refresh.pop(token, None) is None:
                return False
            self._sessions.clear()
            return True

    def expire(self) -> int:
        """End every session and return how many there were."""
        with self._lock:
            count = len(self._sessions)
            self._sessions.clear()
        return count

    def living_refresh_tokens(self) -> list[str]:
        """Return the refresh tokens that work, newest last."""
        with self._lock:
            return list(self._refresh)
