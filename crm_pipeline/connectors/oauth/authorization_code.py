"""A person lets the pipeline in: OAuth 2.0 authorization code, with PKCE where the vendor has it.

The code comes by the browser, or a person makes it at the vendor and brings it. By the browser it travels through the browser, so it is worth nothing without the verifier, which stays here
(RFC 7636), and is only taken with the state of this very attempt (RFC 6749, section 10.12).
"""

import hmac
import secrets
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from authlib.oauth2.rfc7636 import create_s256_code_challenge

from crm_pipeline.connectors.oauth.login import RefreshLogin
from crm_pipeline.connectors.oauth.profile import CODE, CodePage, Refused
from crm_pipeline.connectors.oauth.rotation import TokenRotation
from crm_pipeline.connectors.oauth.token_endpoint import ENDPOINT, TokenEndpoint
from crm_pipeline.connectors.oauth.token_response import TokenResponse
from crm_pipeline.kernel.errors import AuthFailed
from crm_pipeline.kernel.text import vendor_text
from crm_pipeline.store.tokens import StoredToken, TokenStore

_STATE_BYTES = 24
_VERIFIER_BYTES = 64


class _Trade:
    """What both ways share: a code is traded for tokens, which begin a new chain."""

    def __init__(self, login: RefreshLogin, endpoint: TokenEndpoint, tokens: TokenStore) -> None:
        self._login = login
        self._endpoint = endpoint
        self._tokens = tokens
        self._name = endpoint.connection.name
        self._client = login.client()

    def _trade(self, form: Mapping[str, str], again: str, at: str = "") -> None:
        traded = self._endpoint.ask({"grant_type": CODE, **form}, self._client, at=at)
        profile = self._endpoint.profile
        if not traded.get("refresh_token"):
            raise AuthFailed(
                f"{self._name}: {profile.vendor} let the app in, but gave no refresh token.",
                cure=f"{profile.no_refresh_cure} {again} then.".strip(),
            )
        self._tokens.replaced(self._name, lambda stored: self._begun(traded, stored, at))

    def _begun(self, traded: TokenResponse, stored: StoredToken | None, at: str) -> StoredToken:
        # What the environment holds now is older than this login, as is all that it held before.
        before = self._login.rotation(stored) or TokenRotation(self._login.app())
        rotation = before.continued(self._login.given(), "environment")
        extra = {
            "login": self._login.identity(),
            **rotation.extra(),
            **({ENDPOINT: at} if at else {}),
        }
        return self._endpoint.token(traded, None, extra)


class ManualCodeFlow(_Trade):
    """Implements `connectors.base.LoginFlow`: a person makes a code at the vendor and brings it here.

    Args:
        login: the connection's login.
        endpoint: where the code is traded.
        tokens: where the tokens go.
        code_page: where the code is made.
    """

    redirect_uri = ""
    state = ""

    def __init__(
        self, login: RefreshLogin, endpoint: TokenEndpoint, tokens: TokenStore, code_page: CodePage
    ) -> None:
        super().__init__(login, endpoint, tokens)
        self.address = code_page.address(endpoint.connection)
        self.by_hand = code_page.how
        tokens.load(self._name)  # a token that cannot be opened is told before a code is spent

    def accept(self, answer: Mapping[str, str]) -> None:
        """Trade the code for tokens; they begin a new chain.

        Raises:
            AuthFailed: the vendor refused.
        """
        code = answer.get("code", "").strip()
        self._trade(
            {"code": code}, f"Run `crm-pipeline login {self._name}` again, with a new code,"
        )


class AuthorizationCodeFlow(_Trade):
    """Implements `connectors.base.LoginFlow`.

    Args:
        login: the connection's login.
        endpoint: where the code is traded.
        tokens: where the tokens go.
        redirect_uri: the callback address, exactly as the app has it registered.
        random: returns url-safe text made of so many random bytes.
    """

    by_hand = ""

    def __init__(
        self,
        login: RefreshLogin,
        endpoint: TokenEndpoint,
        tokens: TokenStore,
        redirect_uri: str,
        *,
        random: Callable[[int], str] = secrets.token_urlsafe,
    ) -> None:
        super().__init__(login, endpoint, tokens)
        self._verifier = random(_VERIFIER_BYTES)
        self.state = random(_STATE_BYTES)
        self.redirect_uri = redirect_uri
        profile = endpoint.profile
        # Where nothing is said about scopes, the app's own are asked for: what its admin allowed.
        asked = {
            "response_type": "code",
            "client_id": self._client["client_id"],
            "redirect_uri": redirect_uri,
            "state": self.state,
            **profile.asked(endpoint.connection),
        }
        if profile.pkce:
            asked["code_challenge"] = create_s256_code_challenge(self._verifier)
            asked["code_challenge_method"] = "S256"
        self.address = f"{profile.authorize_url(endpoint.connection)}?{urlencode(asked)}"
        tokens.load(self._name)  # a token that cannot be opened is told before anybody logs in

    def accept(self, answer: Mapping[str, str]) -> None:
        """Trade the answer for tokens; they begin a new chain.

        Raises:
            AuthFailed: the person or the vendor refused, or the answer belongs to another attempt.
        """
        again = f"Run `crm-pipeline login {self._name}` again"
        if not hmac.compare_digest(answer.get("state", "").encode(), self.state.encode()):
            raise AuthFailed(
                f"{self._name}: the answer does not belong to this login (its state is another).",
                cure=f"{again}, and use the address that it shows, once.",
            )
        if "error" in answer or not answer.get("code"):
            raise self._refusal(answer)
        form = {"code": answer["code"], "redirect_uri": self.redirect_uri}
        profile = self._endpoint.profile
        if profile.pkce:
            form["code_verifier"] = self._verifier
        at = profile.exchange_at(self._endpoint.connection, answer)
        self._trade(form, again, at)

    def _refusal(self, answer: Mapping[str, str]) -> AuthFailed:
        code = answer.get("error", "no_code")
        said = f"{code} {answer.get('error_description', '')}".strip()
        return AuthFailed(
            f"{self._name}: the login was refused: {vendor_text(said)}.",
            code=code,
            cure=self._endpoint.profile.cure(Refused(self._endpoint.connection, CODE, code, said)),
        )
