"""Providers of data: the key `providers` of connections.yaml. Their keys are secrets, so only variables are named."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from crm_pipeline.settings.addresses import plain_url, require_https, with_port
from crm_pipeline.settings.model import Model, problem
from crm_pipeline.settings.variables import require_variable

_MOST = 1_000_000_000
_Credits = Annotated[int, Field(ge=1, le=_MOST)]


@dataclass(frozen=True)
class ProviderFacts:
    """What connections.yaml may say about a type of provider; its `plans.yaml` states it.

    Attributes:
        base_url: the provider's own address.
        unit: what it charges, in the plural.
        plan: the one that is assumed where none is named, the smallest.
        plans: the published limits of each plan, by name of the limit.
        hosts: to which requests may go.
        bulk_records: how many questions one call may hold.
    """

    base_url: str
    unit: str
    plan: str
    plans: Mapping[str, Mapping[str, int]]
    hosts: tuple[str, ...]
    bulk_records: int = 1

    @classmethod
    def parse(cls, text: str) -> "ProviderFacts":
        """Return the facts that the text of a `plans.yaml` states."""
        read = yaml.safe_load(text)
        return cls(
            base_url=read["base_url"],
            unit=read["unit"],
            plan=read["plan"],
            plans=read["plans"],
            hosts=tuple(read["hosts"]),
            bulk_records=read["bulk_records"],
        )


@dataclass(frozen=True)
class Budget:
    """What may be spent, in the provider's unit; None where there is no such bound."""

    run: int | None = 100
    day: int | None = 500
    month: int | None = 2_000


@dataclass(frozen=True)
class Price:
    """What a month costs in money, and how many credits it has."""

    month: Decimal
    credits: int
    currency: str

    @property
    def per_credit(self) -> Decimal:
        """The price of one credit."""
        return self.month / self.credits


@dataclass(frozen=True)
class Provider:
    """One account at a provider of data; docs/connections.md describes every key.

    Attributes:
        type: names the code that talks to it.
        key_variable: the environment variable with its key.
        limits: the limits of its plan, those that connections.yaml sets included.
        own_limits: the names of those that connections.yaml sets.
        share: the part of them that we may use.
        renews_on: the day of the month on which the budget of a month begins anew (UTC).
    """

    name: str
    type: str
    base_url: str
    key_variable: str
    plan: str
    limits: Mapping[str, int]
    unit: str
    hosts: tuple[str, ...]
    bulk_records: int
    own_limits: frozenset[str] = frozenset()
    share: float = 0.9
    sandbox: bool = False
    budget: Budget = field(default_factory=Budget)
    renews_on: int = 1
    price: Price | None = None


class BudgetModel(Model):
    """The key `budget` of a provider."""

    run: _Credits | None = Budget.run
    day: _Credits | None = Budget.day
    month: _Credits | None = Budget.month


class PriceModel(Model):
    """The key `price` of a provider."""

    month: Annotated[float, Field(gt=0, le=10_000_000, allow_inf_nan=False)]
    credits: _Credits
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]


class ProviderModel(Model):
    """One provider."""

    type: str
    key_env: str
    base_url: str | None = None
    sandbox: bool = False
    plan: str | None = None
    share: Annotated[float, Field(gt=0, le=1)] = 0.9
    limits: dict[str, _Credits] = Field(default_factory=dict)
    budget: BudgetModel = BudgetModel()
    renews_on: Annotated[int, Field(ge=1, le=31)] = 1
    price: PriceModel | None = None

    @field_validator("type")
    @classmethod
    def _type_exists(cls, value: str, info: ValidationInfo) -> str:
        known = _known(info)
        if value not in known:
            raise _unknown("type of provider", value, list(known))
        return value

    @field_validator("key_env")
    @classmethod
    def _is_a_variable(cls, value: str) -> str:
        return require_variable(value)

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        return value if value is None else plain_url(value, "https://api.prospeo.io")

    @model_validator(mode="after")
    def _fits_the_type(self, info: ValidationInfo) -> "ProviderModel":
        if self.base_url is not None:
            require_https(self.base_url, sandbox=self.sandbox, key="base_url")
        elif self.sandbox:
            raise problem(
                "is the sandbox and has no address",
                cure="Add 'base_url: http://127.0.0.1:8765/prospeo'.",
                at="sandbox",
            )
        facts = _known(info)[self.type]
        if self.plan is not None and self.plan not in facts.plans:
            raise _unknown("plan", self.plan, list(facts.plans), "plan")
        for name in self.limits:
            if name not in facts.plans[facts.plan]:
                raise _unknown("limit", name, list(facts.plans[facts.plan]), "limits", name)
        return self

    def provider(self, name: str, facts: ProviderFacts, sandbox_port: int | None) -> Provider:
        """Return the dataclass; `sandbox_port` replaces the port of a sandbox's address."""
        base_url = self.base_url or facts.base_url
        if self.sandbox and sandbox_port is not None:
            base_url = with_port(base_url, sandbox_port)
        plan = self.plan or facts.plan
        price = self.price
        return Provider(
            name=name,
            type=self.type,
            base_url=base_url,
            key_variable=self.key_env,
            plan=plan,
            limits={**facts.plans[plan], **self.limits},
            unit=facts.unit,
            hosts=facts.hosts,
            bulk_records=facts.bulk_records,
            own_limits=frozenset(self.limits),
            share=self.share,
            sandbox=self.sandbox,
            budget=Budget(self.budget.run, self.budget.day, self.budget.month),
            renews_on=self.renews_on,
            price=Price(Decimal(str(price.month)), price.credits, price.currency)
            if price
            else None,
        )


def _known(info: ValidationInfo) -> Mapping[str, ProviderFacts]:
    """Return the facts of each type, which `load.py` passes as the context of the validation."""
    known: Mapping[str, ProviderFacts] = (info.context or {}).get("providers", {})
    return known


def _unknown(kind: str, name: str, known: list[Any], *path: str) -> PydanticCustomError:
    context = {"kind": kind, "name": name, "known": sorted(known), "path": path}
    return PydanticCustomError("unknown", "unknown", context)
