"""Compare what an account at a provider has lost with what its answers said that they cost.

An answer says what it cost, and may be wrong: a new price, a mark of what is free that is not true, an error that was
charged. The account is a second source, which costs nothing to read.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crm_pipeline.kernel.errors import AuthFailed, CrmError, NotPermitted
from crm_pipeline.store.purchases import PurchaseLedger

if TYPE_CHECKING:
    from crm_pipeline.providers import Enricher


@dataclass(frozen=True)
class Unexplained:
    """Credits that the account has lost and no answer named.

    Attributes:
        counted: those that count with purchases from now on.
        credits: all, with those that were not counted before.
    """

    counted: int = 0
    credits: int = 0

    @property
    def uncounted(self) -> int:
        """Those that no purchase can have cost by the price list."""
        return self.credits - self.counted


class AccountMeter:
    """The credits of an account since a moment, and those that purchases of any run account for.

    Args:
        enricher: the opened account.
        ledger: the purchases of all runs.

    Raises:
        AuthFailed, NotPermitted: the provider refuses the account.
    """

    def __init__(self, enricher: "Enricher", ledger: PurchaseLedger) -> None:
        self._enricher = enricher
        self._ledger = ledger
        self._revision = ledger.revision()
        self._used = self._read()

    def settle(self, run: str) -> "Unexplained":
        """Count credits that no answer named with the purchases of a run, as far as those can have cost them.

        Returns:
            Those credits; none where the account does not say what was used, or its month is over.
        """
        used = self._read()
        if used is None or self._used is None or used < self._used:
            self._revision, self._used = self._ledger.revision(), used
            return Unexplained()
        name = self._enricher.provider.name
        rest = used - self._used - self._ledger.most_charged(name, self._revision)
        if rest <= 0:
            return Unexplained()
        return Unexplained(self._ledger.correct(name, run, self._revision, rest), rest)

    def _read(self) -> int | None:
        try:
            return self._enricher.account().used
        except (AuthFailed, NotPermitted):
            raise
        except CrmError:
            return None
