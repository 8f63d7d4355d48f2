"""An opened account at Prospeo."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from crm_pipeline.kernel.errors import MalformedResponse
from crm_pipeline.providers.calls import Call, Calls, Counter
from crm_pipeline.providers.prospeo.enrichment import Enrichment
from crm_pipeline.providers.prospeo.errors import ResponseClassifier
from crm_pipeline.providers.prospeo.search import Search
from crm_pipeline.providers.prospeo.verifier import verified
from crm_pipeline.providers.prospeo.wire import AccountInformation
from crm_pipeline.providers.protocols import ProviderContext
from crm_pipeline.providers.values import (
    Account,
    Answer,
    EmailAnswer,
    Question,
    SearchPage,
    Wanted,
)
from crm_pipeline.settings import Provider


class ProspeoAccount:
    """Implements `Enricher`, `EmailVerifier` and `PeopleFinder`.

    Args:
        provider: its settings.
        context: its dependencies.
    """

    def __init__(self, provider: Provider, context: ProviderContext) -> None:
        self._calls = Calls(
            provider,
            context,
            header="X-KEY",
            classify_response=ResponseClassifier(provider.name),
            counters=_counters,
        )
        self._enrichment = Enrichment(self._calls, lambda: self.account().remaining)
        self._search = Search(self._calls)

    @property
    def provider(self) -> Provider:
        """Its settings."""
        return self._calls.provider

    def close(self) -> None:
        """Close all connections."""
        self._calls.close()

    def most_cost(self, wanted: Wanted) -> int:
        """Return the most that one question may cost, in credits."""
        return self._enrichment.most_cost(wanted)

    def enrich(self, questions: Sequence[Question], wanted: Wanted) -> Iterator[Answer]:
        """Yield an answer to each question; see `Enricher`."""
        return self._enrichment.enrich(questions, wanted)

    def verify(self, questions: Sequence[Question]) -> Iterator[EmailAnswer]:
        """Yield a verdict on the address of each subject; see `EmailVerifier`.

        Prospeo has no verification of its own: a match of the address says whether it is verified, and costs as much
        as any.
        """
        return verified(questions, self._enrichment)

    def search(self, filters: Mapping[str, Any], *, pages: int = 1) -> Iterator[SearchPage]:
        """Yield pages of people; see `PeopleFinder`."""
        return self._search.pages(filters, pages)

    def account(self) -> Account:
        """Return how the account stands; free."""
        call = Call(
            "GET",
            "/account-information",
            "account",
            "the account information",
            AccountInformation,
            lambda _: 0,
        )
        content = self._calls.make(call).content.content()
        if content is None:
            raise MalformedResponse(
                f"{self.provider.name}: the account information does not say which credits are left."
            )
        return Account(
            plan=content.current_plan,
            remaining=content.remaining_credits,
            used=content.used_credits,
            renews_at=_instant(content.next_quota_renewal_date),
        )


def _counters(kind: str) -> tuple[Counter, ...]:
    return tuple(
        Counter(f"{kind}_{ours}", f"x-{word}-rate-limit", f"x-{word}-request-left")
        for ours, word in (("minute", "minute"), ("day", "daily"))
    )


def _instant(text: str | None) -> datetime | None:
    """Return a time as Prospeo writes it, with a blank between date and time; None for anything else."""
    try:
        moment = datetime.fromisoformat((text or "").strip())
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
