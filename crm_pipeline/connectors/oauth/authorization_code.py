"""The OAuth 2.0 authorization-code flow, with PKCE where the vendor supports it.

The browser brings the code, or a person makes the code at the vendor and pastes it. A code that comes
through the browser is useless without the verifier, which stays here (RFC 7636), and is accepted only
with the state of the same attempt (RFC 6749, section 10.12).
"""

import hmac
import secrets
from collections.abc import Mapping
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


class _CodeExchange:
    """What both flows share: a code is exchanged for tokens, which start a new token rotation."""

    def __init__(self, login: RefreshLogin, endpoint: TokenEndpoint, tokens: TokenStore) -> None:
        self._login = login
        self._endpoint = endpoint
        self._tokens = tokens
        self._name = endpoint.connection.name
        self._client = login.client()

    def _exchange(self, form: Mapping[str, str], retry_cure: str, url: str = "") -> None:
        response = self._endpoint.request({"grant_type": CODE, **form}, self._client, url=url)
        profile = self._endpoint.profile
        if not response.get("refresh_token"):
            raise AuthFailed(
                f"{self._name}: {profile.vendor} let the app in, but gave no refresh token.",
                cure=f"{profile.no_refresh_cure} {retry_cure} then.".strip(),
            )
        self._tokens.replaced(self._name, lambda stored: self._new_token(response, stored, url))

    def _new_token(
        self, response: TokenResponse, stored: StoredToken | None, url: str
    ) -> StoredToken:
        # The environment's present token is older than this login, and so are all earlier ones.
        before = self._login.rotation(stored) or TokenRotation(self._login.app())
        rotation = before.continued(self._login.environment_token(), "environment")
        extra = {
            "login": self._login.identity(),
            **rotation.extra(),
            **({ENDPOINT: url} if url else {}),
        }
        return self._endpoint.token(response, None, extra)


class ManualCodeFlow(_CodeExchange):
    """Implements `connectors.base.LoginFlow`: a person makes a code at the vendor and pastes it.

    Args:
        login: the connection's login.
        endpoint: where the code is exchanged.
        tokens: where the tokens are stored.
        code_page: where the person makes the code.
    """

    redirect_uri = ""
    state = ""

    def __init__(
        self, login: RefreshLogin, endpoint: TokenEndpoint, tokens: TokenStore, code_page: CodePage
    ) -> None:
        super().__init__(login, endpoint, tokens)
        self.address = code_page.address(endpoint.connection)
        self.by_hand = code_page.instructions
        tokens.load(self._name)  # report a token that cannot be decrypted before a code is used up

    def accept(self, answer: Mapping[str, str]) -> None:
        """Exchange the code for tokens and store them; they start a new token rotation.

        Raises:
            AuthFailed: the vendor refused.
        """
        code = answer.get("code", "").strip()
        self._exchange(
            {"code": code}, f"Run `crm-pipeline login {self._name}` again, with a new code,"
        )


class AuthorizationCodeFlow(_CodeExchange):
    """Implements `connectors.base.LoginFlow`.

    Args:
        login: the connection's login.
        endpoint: where the code is exchanged.
        tokens: where the tokens are stored.
        redirect_uri: the callback address, exactly as it is registered for the app.
    """

    by_hand = ""

    def __init__(
        self,
        login: RefreshLogin,
        endpoint: TokenEndpoint,
        tokens: TokenStore,
        redirect_uri: str,
    ) -> None:
        super().__init__(login, endpoint, tokens)
        self._verifier = secrets.token_urlsafe(_VERIFIER_BYTES)
        self.state = secrets.token_urlsafe(_STATE_BYTES)
        self.redirect_uri = redirect_uri
        profile = endpoint.profile
        # Without a scope parameter the vendor grants the app's own scopes, which its admin allowed.
        params = {
            "response_type": "code",
            "client_id": self._client["client_id"],
            "redirect_uri": redirect_uri,
            "state": self.state,
            **profile.authorize_params(endpoint.connection),
        }
        if profile.pkce:
            params["code_challenge"] = create_s256_code_challenge(self._verifier)
            params["code_challenge_method"] = "S256"
        self.address = f"{profile.authorize_url(endpoint.connection)}?{urlencode(params)}"
        tokens.load(self._name)  # report a token that cannot be decrypted before anybody logs in

    def accept(self, answer: Mapping[str, str]) -> None:
        """Exchange the code of the answer for tokens and store them; they start a new token rotation.

        Raises:
            AuthFailed: the person or the vendor refused, or the answer belongs to another attempt.
        """
        retry_cure = f"Run `crm-pipeline login {self._name}` again"
        if not hmac.compare_digest(answer.get("state", "").encode(), self.state.encode()):
            raise AuthFailed(
                f"{self._name}: the answer does not belong to this login (its state is another).",
                cure=f"{retry_cure}, and use the address that it shows, once.",
            )
        if "error" in answer or not answer.get("code"):
            raise self._refusal(answer)
        form = {"code": answer["code"], "redirect_uri": self.redirect_uri}
        profile = self._endpoint.profile
        if profile.pkce:
            form["code_verifier"] = self._verifier
        url = profile.exchange_url(self._endpoint.connection, answer)
        self._exchange(form, retry_cure, url)

    def _refusal(self, answer: Mapping[str, str]) -> AuthFailed:
        code = answer.get("error", "no_code")
        description = f"{code} {answer.get('error_description', '')}".strip()
        return AuthFailed(
            f"{self._name}: the login was refused: {vendor_text(description)}.",
            code=code,
            cure=self._endpoint.profile.cure(
                Refused(self._endpoint.connection, CODE, code, description)
            ),
        )
