"""A person lets the pipeline in: OAuth 2.0 authorization code, with PKCE where the vendor has it.

The code travels through the browser, so it is worth nothing without the verifier, which stays here
(RFC 7636), and is only taken with the state of this very attempt (RFC 6749, section 10.12).
"""

import hmac
import secrets
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from authlib.oauth2.rfc7636 import create_s256_code_challenge

from crm_pipeline.connectors.chain import Chain
from crm_pipeline.connectors.dialect import CODE, Refused
from crm_pipeline.connectors.login import RefreshLogin
from crm_pipeline.connectors.token_endpoint import TokenEndpoint
from crm_pipeline.kernel.errors import AuthFailed
from crm_pipeline.kernel.secret import redacted
from crm_pipeline.store.tokens import StoredToken, TokenStore

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
        login: RefreshLogin,
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
        dialect = endpoint.dialect
        # Where nothing is said about scopes, the app's own are asked for: what its admin allowed.
        asked = {
            "response_type": "code",
            "client_id": self._client["client_id"],
            "redirect_uri": redirect_uri,
            "state": self.state,
            **dialect.asked(endpoint.connection),
        }
        if dialect.pkce:
            asked["code_challenge"] = create_s256_code_challenge(self._verifier)
            asked["code_challenge_method"] = "S256"
        self.address = f"{dialect.authorize_url(endpoint.connection)}?{urlencode(asked)}"
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
        form = {
            "grant_type": CODE,
            "code": answer["code"],
            "redirect_uri": self.redirect_uri,
        }
        dialect = self._endpoint.dialect
        if dialect.pkce:
            form["code_verifier"] = self._verifier
        traded = self._endpoint.ask(form, self._client)
        if not traded.get("refresh_token"):
            raise AuthFailed(
                f"{self._name}: {dialect.vendor} let the app in, but gave no refresh token.",
                cure=f"{dialect.no_refresh_cure} {again} then.".strip(),
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
            cure=self._endpoint.dialect.cure(Refused(self._endpoint.connection, CODE, code, said)),
        )
