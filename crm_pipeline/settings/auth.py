"""The key `auth` of a connection: the kinds of login, and the variables that each of them needs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import field_validator, model_validator
from pydantic_core import PydanticCustomError

from crm_pipeline.settings.connection import SOURCE, AuthSettings
from crm_pipeline.settings.model import Model, problem
from crm_pipeline.settings.variables import require_variable


@dataclass(frozen=True)
class KindRules:
    """Which variables and options a kind of login takes; variables have the names that `Settings.secret` uses.

    Attributes:
        needed: variables without which it cannot work.
        optional: variables that it may have.
        one_of: exactly one of these is needed, the usual one first.
        options: keys that are no variables.
    """

    needed: tuple[str, ...]
    optional: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def variables(self) -> tuple[str, ...]:
        """All variables that the kind may name."""
        return self.needed + self.one_of + self.optional


KINDS: Mapping[str, KindRules] = {
    "token": KindRules(("token",)),
    "client_credentials": KindRules(("client_id", "client_secret")),
    "refresh_token": KindRules(
        ("client_id",), ("client_secret", "refresh_token"), options=("callback_url",)
    ),
    "self_client": KindRules(("client_id", "client_secret"), ("refresh_token",)),
    SOURCE: KindRules((), options=("secrets",)),
    "jwt_bearer": KindRules(
        ("client_id", "username"), one_of=("private_key_file", "private_key"), options=("audience",)
    ),
}
# A person logs in once with `crm-pipeline login`; the refresh token renews the login from then on.
BY_PERSON = frozenset(kind for kind, rules in KINDS.items() if "refresh_token" in rules.variables)
# Accepted here, so that the connector can say until when the vendor still takes them.
RETIRED_KINDS = frozenset({"password", "username_password", "soap"})
RETIRED_FIELDS = frozenset({"password_env", "security_token_env"})
_OPTIONS = frozenset({"callback_url", "audience", "secrets"})


class AuthModel(Model):
    """How a connection logs in."""

    kind: str
    token_env: str | None = None
    client_id_env: str | None = None
    client_secret_env: str | None = None
    refresh_token_env: str | None = None
    username_env: str | None = None
    private_key_env: str | None = None
    private_key_file_env: str | None = None
    password_env: str | None = None
    security_token_env: str | None = None
    callback_url: str | None = None
    audience: str | None = None
    secrets: dict[str, str] | None = None

    @field_validator("secrets")
    @classmethod
    def _names_variables(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        for variable in (value or {}).values():
            require_variable(variable)
        return value

    @field_validator("kind")
    @classmethod
    def _kind_exists(cls, value: str) -> str:
        if value not in KINDS and value not in RETIRED_KINDS:
            raise PydanticCustomError(
                "unknown", "unknown", {"kind": "auth kind", "name": value, "known": sorted(KINDS)}
            )
        return value

    @field_validator("*")
    @classmethod
    def _variable_name(cls, value: str | None, info: Any) -> str | None:
        if not info.field_name.endswith("_env") or value is None:
            return value
        return require_variable(value)

    @field_validator("callback_url")
    @classmethod
    def _is_callback_address(cls, value: str | None) -> str | None:
        try:
            url = urlsplit(value or "http://localhost:1/")
            whole = bool(url.hostname) and (url.port or 443) > 0
        except ValueError:
            whole = False
        is_local = whole and url.hostname in {"localhost", "127.0.0.1"}
        if not whole or url.query or url.fragment or not (url.scheme == "https" or is_local):
            raise problem(
                "is no address that a browser can be sent back to",
                cure="Write it exactly as the app has it registered, like "
                "http://localhost:8401/OauthRedirect; plain http is for localhost only.",
            )
        return value

    @field_validator("audience")
    @classmethod
    def _https(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"https://[^\s?#]+", value):
            raise problem("is no https address", cure="Write it like https://login.salesforce.com.")
        return value

    @model_validator(mode="after")
    def _complete(self) -> "AuthModel":
        if self.kind in RETIRED_KINDS:
            return self
        rules = KINDS[self.kind]
        named = self.variables().keys()
        if missing := sorted(set(rules.needed) - named):
            raise problem(
                f"is of kind {self.kind}, which also needs {', '.join(f'{m}_env' for m in missing)}",
                cure="Add "
                + " and ".join(f"'{m}_env: NAME_OF_THE_VARIABLE'" for m in missing)
                + ".",
            )
        if rules.one_of and len(named & set(rules.one_of)) != 1:
            choices = " or ".join(f"{name}_env" for name in rules.one_of)
            raise problem(
                f"is of kind {self.kind}, which needs exactly one of {choices}",
                cure=f"Keep or add one, such as '{rules.one_of[0]}_env: NAME_OF_THE_VARIABLE'.",
            )
        self._refuse_foreign(rules)
        return self

    def _refuse_foreign(self, rules: KindRules) -> None:
        options = {name for name in _OPTIONS if getattr(self, name) is not None}
        named = () if self.secrets is not None else self.variables()
        keys = {f"{name}_env" for name in named} | options
        allowed = {f"{name}_env" for name in rules.variables} | set(rules.options)
        if extra := sorted(keys - allowed):
            raise problem(
                f"does not belong to the kind {self.kind}; allowed: {', '.join(sorted(allowed))}",
                cure=f"Remove {extra[0]} or change the kind.",
                at=extra[0],
            )

    def variables(self) -> dict[str, str]:
        """Return the environment variable of each secret or name, by key."""
        if self.secrets is not None:
            return dict(self.secrets)
        fields = self.model_dump(exclude={"kind", *_OPTIONS}, exclude_none=True)
        return {key.removesuffix("_env"): value for key, value in fields.items()}

    def settings(self) -> AuthSettings:
        """Return the dataclass."""
        return AuthSettings(
            self.kind, self.variables(), callback_url=self.callback_url, audience=self.audience
        )
