"""The calls of one account at a provider: key, permits, retries, and what a call did cost.

Whatever a provider charges is known from its reply only. So the most is held before a call, and settled after it. A
call that brought no usable reply may have been charged: it counts whole, and its answers say so as `lost_units`.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import requests

from crm_pipeline.kernel.errors import VendorError
from crm_pipeline.kernel.secret import Secret
from crm_pipeline.providers.budgets import Rates, budget_limits, counter, group_of
from crm_pipeline.providers.errors import PutOff
from crm_pipeline.providers.protocols import ProviderContext
from crm_pipeline.ratelimit import Limit, NotNow, Reservation
from crm_pipeline.settings import Provider
from crm_pipeline.settings.bounds import Bounds
from crm_pipeline.wire.decoding import decoded
from crm_pipeline.wire.session import HttpSession, ResponseClassifier, Times
from crm_pipeline.wire.trusted_hosts import TrustedHosts

T = TypeVar("T")
_MOST_MB = 32  # fifty people with all that is known of their companies take less than three


@dataclass(frozen=True)
class Call(Generic[T]):
    """One kind of call, ready to be made.

    Attributes:
        method, path: below the provider's address.
        kind: the class of endpoints, by which limits are named.
        what: the response in a few words, for error texts.
        reads: the type that the response is decoded into.
        charged: returns what the provider charged, from the response.
        most: the most that it may cost, in the provider's unit.
        records: how many records it counts as.
        json, params: of the request.
    """

    method: str
    path: str
    kind: str
    what: str
    reads: type[T]
    charged: Callable[[T], int]
    most: int = 0
    records: int = 1
    json: Mapping[str, Any] | None = None
    params: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Reply(Generic[T]):
    """A usable reply.

    Attributes:
        status: of HTTP.
        lost_units: the most that earlier attempts without a usable reply may have cost.
    """

    content: T
    status: int
    lost_units: int = 0


@dataclass(frozen=True)
class Counter:
    """Where responses state a counter: the name of our limit, and the headers with the total and what is left."""

    limit: str
    total: str
    left: str


class Lost:
    """Counts what attempts without a usable reply may have cost."""

    def __init__(self) -> None:
        self.units = 0


class Calls:
    """Makes the calls of one account; safe with threads.

    Args:
        provider: of the account.
        context: its dependencies.
        header: that holds the key.
        classify_response: returns the error for a response, None for a success. An error with a `code` is the
            provider's own word that nothing was charged.
        counters: where responses to a class of endpoints state counters.
    """

    def __init__(
        self,
        provider: Provider,
        context: ProviderContext,
        *,
        header: str,
        classify_response: ResponseClassifier,
        counters: Callable[[str], tuple[Counter, ...]] = lambda _: (),
    ) -> None:
        self.provider = provider
        self.rates = Rates(provider)
        self._context = context
        self._key: Secret = context.settings.provider_key(provider)
        self._header = header
        self._counters = counters
        self._kind = threading.local()
        self._http = HttpSession(
            provider.name,
            classify_response=classify_response,
            observe=self._observe,
            bounds=_bounded(context.settings.bounds),
            trusts=TrustedHosts(provider.base_url, provider.hosts).includes,
            allow_http=provider.sandbox,
            clock=context.clock,
        )

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._context.clock.sleep(seconds)

    @property
    def is_patient(self) -> bool:
        """Whether calls wait for permits."""
        return self._context.patient

    def budget_left(self) -> int | None:
        """Return what is left of our budgets of the day and the month; None where there are none."""
        limits = budget_limits(self.provider)
        if limits:
            self._context.limiter.flush()  # what calls did not cost is free for the next one
        return self._context.limiter.remaining(
            group_of(self.provider), limits, member=self.provider.name
        )

    def within_budget(self, count: int, most: int) -> int:
        """Return how many of some questions our budgets allow at once.

        The last ones are left to the permit: other processes may hold what they will not need.

        Args:
            count: of the questions.
            most: that one may cost.
        """
        budgets = budget_limits(self.provider)
        if any(limit.calls < most for limit in budgets):
            return 0
        left = self.budget_left()
        return count if left is None else max(1, min(count, left // most))

    def make(self, call: Call[T], lost: Lost | None = None) -> Reply[T]:
        """Make a call, with retries.

        Args:
            call: what to ask.
            lost: counts what attempts without a usable reply may have cost, also where this raises.

        Raises:
            PutOff: no permit was free at once, and calls do not wait.
            BudgetExhausted: our budget, or the provider's limit of a day, is spent.
            MalformedResponse: no attempt got a response of the documented form.
            VendorError: as the provider refused.
        """
        lost = lost or Lost()

        def attempt() -> Reply[T]:
            with self._permit(call) as reservation:
                before = lost.units
                lost.units += call.most
                try:
                    content, status = self._sent(call)
                except VendorError as error:
                    if error.code or not error.was_sent:
                        lost.units = before
                        self._settle(reservation, call, 0)
                    raise
                lost.units = before
                self._settle(reservation, call, call.charged(content))
                return Reply(content, status, lost.units)

        return self._context.retry.call(attempt)

    def _sent(self, call: Call[T]) -> tuple[T, int]:
        self._kind.value = call.kind
        response = self._http.request(
            call.method,
            f"{self.provider.base_url}{call.path}",
            headers={self._header: self._key.reveal(), "Accept": "application/json"},
            json=call.json,
            params=call.params,
        )
        content = decoded(response.content, call.reads, owner=self.provider.name, what=call.what)
        return content, response.status_code

    @contextmanager
    def _permit(self, call: Call[T]) -> Iterator[Reservation]:
        limits, costs = self._limits(call)
        group, member = group_of(self.provider), self.provider.name
        if self._context.patient:
            with self._context.limiter.reserve(group, limits, costs, member=member) as granted:
                yield granted
            return
        with self._context.limiter.try_reserve(group, limits, costs, member=member) as answer:
            if isinstance(answer, NotNow):
                raise PutOff(
                    f"{self.provider.name}: {call.what} was put off, the limit"
                    f" '{answer.limit or 'of calls'}' is short.",
                    wait_s=answer.wait_s,
                    limit=answer.limit,
                )
            yield answer

    def _limits(self, call: Call[T]) -> tuple[tuple[Limit, ...], dict[str, int]]:
        rates = self.rates.limits(call.kind)
        budgets = budget_limits(self.provider) if call.most else ()
        costs = dict.fromkeys((limit.name for limit in rates), call.records)
        return (*rates, *budgets), costs | dict.fromkeys(
            (limit.name for limit in budgets), call.most
        )

    def _settle(self, reservation: Reservation, call: Call[T], cost: int) -> None:
        if call.most:
            names = [limit.name for limit in budget_limits(self.provider)]
            reservation.settle(dict.fromkeys(names, cost))
        self._context.limiter.record(
            group_of(self.provider),
            call.path.strip("/"),
            cost=cost,
            member=self.provider.name,
        )

    def _observe(self, response: requests.Response, _: Times) -> None:
        for stated in self._counters(getattr(self._kind, "value", "")):
            usual = self.provider.limits.get(stated.limit)
            if usual is None:
                continue
            reading = counter(response.headers, stated.total, stated.left, usual)
            if reading is None:
                continue
            used, allowed = reading
            self.rates.state(stated.limit, allowed)
            self._context.limiter.observe(
                group_of(self.provider), stated.limit, used, allowed, member=self.provider.name
            )


def _bounded(bounds: Bounds) -> Bounds:
    return replace(bounds, answer_mb=min(bounds.answer_mb, _MOST_MB))
