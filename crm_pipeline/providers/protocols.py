"""The protocols that the types of providers implement; callers know nothing else of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from crm_pipeline.kernel.clock import Clock
from crm_pipeline.providers.values import (
    Account,
    Answer,
    EmailAnswer,
    Question,
    SearchPage,
    Wanted,
)
from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.settings import Provider, Settings
from crm_pipeline.wire.retry import RetryPolicy


@dataclass(frozen=True)
class ProviderContext:
    """The dependencies of an opened provider.

    Attributes:
        patient: whether calls wait for permits; otherwise what cannot be asked at once is put off.
    """

    settings: Settings
    clock: Clock
    limiter: RateLimiter
    retry: RetryPolicy
    patient: bool = True


@runtime_checkable
class OpenedProvider(Protocol):
    """An account at a provider, opened."""

    @property
    def provider(self) -> Provider:
        """Its settings: name, unit, budget, price."""

    def close(self) -> None:
        """Close all connections."""


@runtime_checkable
class Enricher(OpenedProvider, Protocol):
    """Sells facts about people and companies."""

    def most_cost(self, wanted: Wanted) -> int:
        """Return the most that one question may cost, in the provider's unit."""

    def enrich(self, questions: Sequence[Question], wanted: Wanted) -> Iterator[Answer]:
        """Ask, and yield exactly one answer to each question, in any order, as they come.

        Every answer has to be kept before the next one is taken: it has been paid for.

        Raises:
            AuthFailed: the key is refused; questions without an answer were not charged.
            NotPermitted: the account is restricted; likewise.
            ValueError: two questions have the same id.
        """

    def account(self) -> Account:
        """Return how the account stands; free."""


@runtime_checkable
class EmailVerifier(OpenedProvider, Protocol):
    """Sells verdicts on e-mail addresses."""

    def verify(self, questions: Sequence[Question]) -> Iterator[EmailAnswer]:
        """Ask about the `email` of each subject, and yield exactly one answer to each, as `Enricher.enrich`."""


@runtime_checkable
class PeopleFinder(OpenedProvider, Protocol):
    """Sells lists of people by filters, without contact values."""

    def search(self, filters: Mapping[str, Any], *, pages: int = 1) -> Iterator[SearchPage]:
        """Yield pages of people.

        Args:
            filters: in the provider's own words; at least one has to include something.
            pages: at most so many are bought.

        Raises:
            ConfigError: a filter is unknown, or the provider refuses it.
            BudgetExhausted: our budget is spent.
            OutOfCredits: the provider's credits are spent.
        """


class ProviderType(Protocol):
    """What the folder of a type exports as `provider`."""

    type: str

    def open(self, provider: Provider, context: ProviderContext) -> OpenedProvider:
        """Open an account.

        Raises:
            SecretMissing: its key is not set.
        """
