"""A person lets the pipeline in: OAuth 2.0 authorization code with PKCE (Salesforce's web server flow).

The code travels through the browser, so it is worth nothing without the verifier, which stays here
(RFC 7636), and is only taken with the state of this very attempt (RFC 6749, section 10.12).
"""

import hmac
import secrets
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from authlib.oauth2.rfc7636 import create_s256_code_challenge

from crm_pipeline.connectors.salesforce import login_cures
from crm_pipeline.connectors.salesforce.chain import Chain
from crm_pipeline.connectors.salesforce.login import Login
from crm_pipeline.connectors.salesforce.token_endpoint import TokenEndpoint
from crm_pipeline.kernel.errors import AuthFailed
from crm_pipeline.kernel.secret import redacted
from crm_pipeline.store.tokens import StoredToken, TokenStore

CALLBACK_URL = "http://localhost:8401/OauthRedirect"
_STATE_BYTES = 24
_VERIFIER_BYTES = 64
_SHORT = 300


class CodeConsent:
    """Implements `connectors.base.Consent`.

    Args:
        login: the connection's login.
        endpoint: where the code is traded.
        tokens: where the tokens go.
        redirect_uri: the callback address, exactly as the app has it registered.
        random: returns url-safe text made of so many random bytes.
    """

    def __init__(
        self,
        login: Login,
        endpoint: TokenEndpoint,
        tokens: TokenStore,
        redirect_uri: str,
        *,
        random: Callable[[int], str] = secrets.token_urlsafe,
    ) -> None:
        self._login = login
        self._endpoint = endpoint
        self._tokens = tokens
        self._name = endpoint.connection.name
        self._client = login.client()
        self._verifier = random(_VERIFIER_BYTES)
        self.state = random(_STATE_BYTES)
        self.redirect_uri = redirect_uri
        # Without `scope` the app's own scopes are asked for: what its admin allowed, and no less.
        asked = {
            "response_type": "code",
            "client_id": self._client["client_id"],
            "redirect_uri": redirect_uri,
            "state": self.state,
            "code_challenge": create_s256_code_challenge(self._verifier),
            "code_challenge_method": "S256",
        }
        place = f"{endpoint.connection.login_url}/services/oauth2/authorize"
        self.address = f"{place}?{urlencode(asked)}"
        tokens.load(self._name)  # a token that cannot be opened is told before anybody logs in

    def accept(self, answer: Mapping[str, str]) -> None:
        """Trade the answer for tokens; they begin a new chain.

        Raises:
            AuthFailed: the person or Salesforce refused, or the answer belongs to another attempt.
        """
        again = f"Run `crm-pipeline login {self._name}` again"
        if not hmac.compare_digest(answer.get("state", "").encode(), self.state.encode()):
            raise AuthFailed(
                f"{self._name}: the answer does not belong to this login (its state is another).",
                cure=f"{again}, and use the address that it shows, once.",
            )
        if "error" in answer or not answer.get("code"):
            raise self._refusal(answer)
        traded = self._endpoint.ask(
            {
                "grant_type": login_cures.CODE,
                "code": answer["code"],
                "redirect_uri": self.redirect_uri,
                "code_verifier": self._verifier,
                **self._client,
            }
        )
        if not traded.get("refresh_token"):
            raise AuthFailed(
                f"{self._name}: Salesforce let the app in, but gave no refresh token.",
                cure="Add the scope 'Perform requests at any time (refresh_token, offline_access)' to "
                "the app, and choose a Refresh Token Policy other than 'Immediately expire'. "
                f"{again} then.",
            )
        self._tokens.replaced(self._name, lambda stored: self._begun(traded, stored))

    def _begun(self, traded: Mapping[str, object], stored: StoredToken | None) -> StoredToken:
        # What the environment holds now is older than this login, as is all that it held before.
        before = self._login.chain(stored) or Chain(self._login.app())
        chain = before.continued(self._login.given(), "environment")
        extra = {"login": self._login.identity(), **chain.extra()}
        return self._endpoint.token(traded, None, extra)

    def _refusal(self, answer: Mapping[str, str]) -> AuthFailed:
        code = answer.get("error", "no_code")
        said = f"{code} {answer.get('error_description', '')}".strip()
        return AuthFailed(
            f"{self._name}: the login was refused: {redacted(said)[:_SHORT]}.",
            code=code,
            cure=login_cures.cure(self._endpoint.connection, login_cures.CODE, code, said),
        )
