"""The types of providers: every folder beside this module with a `plans.yaml` exports the name `provider`."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import crm_pipeline.providers
from crm_pipeline.kernel.clock import Clock, SystemClock
from crm_pipeline.kernel.errors import ConfigError, UnknownName
from crm_pipeline.providers.facts import provider_facts
from crm_pipeline.providers.protocols import (
    EmailVerifier,
    Enricher,
    OpenedProvider,
    PeopleFinder,
    ProviderContext,
    ProviderType,
)
from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.settings import Settings
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.wire.retry import RetryPolicy


@cache
def provider_type(name: str) -> ProviderType:
    """Return a type of provider.

    Raises:
        UnknownName: there is no such type; the text lists them.
        ConfigError: its folder does not export a provider.
    """
    if name not in provider_facts():
        raise UnknownName("type of provider", name, provider_facts())
    module = importlib.import_module(f"{crm_pipeline.providers.__name__}.{name}")
    exported: ProviderType | None = getattr(module, "provider", None)
    if exported is None or exported.type != name:
        raise ConfigError(f"{module.__name__} does not export a provider for '{name}'.")
    return exported


@contextmanager
def opened_provider(
    settings: Settings,
    name: str,
    database: Database,
    *,
    clock: Clock | None = None,
    retry: RetryPolicy | None = None,
    patient: bool = True,
) -> Iterator[OpenedProvider]:
    """Open an account at a provider; on closing, the counted calls are flushed.

    Args:
        settings: with the provider.
        name: of the provider in connections.yaml.
        database: holds limits and budgets.
        clock: stands in for the machine's.
        retry: stands in for the usual policy.
        patient: whether calls wait for permits.

    Raises:
        UnknownName: there is no such provider.
        SecretMissing: its key is not set.
    """
    provider = settings.provider(name)
    time = clock or SystemClock()
    with RateLimiter(database, time) as limiter:
        context = ProviderContext(
            settings=settings,
            clock=time,
            limiter=limiter,
            retry=retry or RetryPolicy(timeout_s=settings.patience_s),
            patient=patient,
        )
        account = provider_type(provider.type).open(provider, context)
        try:
            yield account
        finally:
            account.close()


def as_enricher(account: OpenedProvider) -> Enricher:
    """Return a provider that enriches.

    Raises:
        ConfigError: this one does not.
    """
    if isinstance(account, Enricher):
        return account
    raise _unable(account, "sells no facts about people and companies")


def as_verifier(account: OpenedProvider) -> EmailVerifier:
    """Return a provider that verifies addresses.

    Raises:
        ConfigError: this one does not.
    """
    if isinstance(account, EmailVerifier):
        return account
    raise _unable(account, "verifies no e-mail addresses")


def as_finder(account: OpenedProvider) -> PeopleFinder:
    """Return a provider that searches people.

    Raises:
        ConfigError: this one does not.
    """
    if isinstance(account, PeopleFinder):
        return account
    raise _unable(account, "searches no people")


def _unable(account: OpenedProvider, what: str) -> ConfigError:
    provider = account.provider
    return ConfigError(
        f"provider '{provider.name}' is of type {provider.type}, which {what}.",
        cure="Name another provider of connections.yaml.",
    )
