"""The limits of a source as its file states them, and what its calls cost."""

from collections.abc import Iterable, Mapping, Sequence

import requests

from crm_pipeline.connectors.metering import Operation, Reading, ReportedCounter
from crm_pipeline.connectors.rest.source import BurstLimit, DayLimit, Source
from crm_pipeline.connectors.upkeep import DayLimit as Day
from crm_pipeline.ratelimit.limits import Limit, rolling
from crm_pipeline.settings import Connection

_DAY_S = 86_400.0


class SourceMeter:
    """Implements `connectors.metering.Meter`."""

    def __init__(self, connection: Connection, source: Source) -> None:
        self._connection = connection
        self._blocks = source.limits
        self._reported: dict[str, int] = {}
        self.unit = next((one.unit for one in self._blocks if isinstance(one, DayLimit)), "calls")

    @property
    def day(self) -> Day | None:
        """The limit of a day, if the file states one."""
        for block in self._blocks:
            if isinstance(block, DayLimit):
                return Day(self._amount(block.name, block.calls), is_stated=True)
        return None

    def limits(self, operation: Operation) -> Sequence[Limit]:
        """Return the limits that a call counts towards: all of them."""
        share = self._connection.share
        limits: list[Limit] = []
        for block in self._blocks:
            amount = self._amount(block.name, block.calls)
            if isinstance(block, BurstLimit):
                limits.append(rolling(block.name, amount, block.per_s, share))
            elif isinstance(block, DayLimit):
                ours = max(operation.cost, int(amount * share))
                limits.append(
                    Limit(
                        block.name, ours, _DAY_S, "daily", resets=block.time_zone, unit=block.unit
                    )
                )
            else:
                limits.append(Limit(block.name, max(1, int(amount * share)), 0.0, "concurrency"))
        return limits

    def costs(self, operation: Operation) -> Mapping[str, int]:
        """Return the cost of a call: of a day what its resource says, of other limits one call."""
        return {one.name: operation.cost for one in self._blocks if isinstance(one, DayLimit)}

    def reported_counters(self, response: requests.Response) -> Iterable[ReportedCounter]:
        """Return the counters in the headers that the file names."""
        for block in self._blocks:
            if isinstance(block, DayLimit) and block.remaining_header:
                left = response.headers.get(block.remaining_header, "")
                allowed = response.headers.get(block.limit_header, "") or str(block.calls)
                if left:
                    yield ReportedCounter(
                        block.name, block.remaining_header, allowed, left=left, usual=block.calls
                    )

    def heed(self, reading: Reading) -> None:
        """Take over the limit of a plausible reading."""
        self._reported[reading.limit] = reading.allowed

    @property
    def calls_per_s(self) -> float:
        """How many calls a second the limits allow; 10 where the file states none."""
        rates = [
            self._amount(one.name, one.calls) * self._connection.share / one.per_s
            for one in self._blocks
            if isinstance(one, BurstLimit)
        ]
        return min(rates, default=10.0)

    def _amount(self, name: str, stated: int) -> int:
        return self._reported.get(name, self._connection.ceilings.get(name, stated))
