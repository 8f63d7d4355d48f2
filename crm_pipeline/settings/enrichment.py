"""Whom to buy facts about: the key `enrichment` of connections.yaml."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from crm_pipeline.settings.model import Model

PersonTable = Literal["contacts", "leads"]
Gap = Literal["title", "department", "email", "mobile_phone", "city", "state", "country"]
_USUAL_GAPS: tuple[Gap, ...] = ("title",)


@dataclass(frozen=True)
class Enrichment:
    """The choices for the stage `enriched`.

    Attributes:
        provider: whom to buy from, by its name under `providers`; "" buys nothing, and nobody is wanted.
        tables: whose records are wanted.
        fill: a person without a value in one of these columns is wanted.
        least_amount: of the open deals of the person or the company.
        changed_within: only of records that changed so recently; None for all.
        again_after: a person whom the provider did not know is asked about again after that time.
        mobile: buy mobile numbers as well, which costs more.
        only_verified_email: pay only for persons with a verified address.
        is_automatic: whether the schedule buys by itself.
    """

    provider: str = ""
    tables: tuple[PersonTable, ...] = ("contacts",)
    fill: tuple[Gap, ...] = _USUAL_GAPS
    least_amount: float = 0.0
    changed_within: timedelta | None = None
    again_after: timedelta = timedelta(days=180)
    mobile: bool = False
    only_verified_email: bool = False
    is_automatic: bool = False


class EnrichmentModel(Model):
    """The key `enrichment`."""

    provider: str = ""
    tables: list[PersonTable] = Field(default=["contacts"], min_length=1)
    fill: list[Gap] = Field(default=["title"], min_length=1)
    least_amount: Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)] = 0.0
    changed_within_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    again_after_days: Annotated[int, Field(ge=1, le=3_650)] = Enrichment.again_after.days
    mobile: bool = False
    only_verified_email: bool = False
    automatic: bool = False

    def settings(self) -> Enrichment:
        """Return the dataclass."""
        days = self.changed_within_days
        return Enrichment(
            provider=self.provider,
            tables=tuple(dict.fromkeys(self.tables)),
            fill=tuple(dict.fromkeys(self.fill)),
            least_amount=self.least_amount,
            changed_within=None if days is None else timedelta(days=days),
            again_after=timedelta(days=self.again_after_days),
            mobile=self.mobile or "mobile_phone" in self.fill,
            only_verified_email=self.only_verified_email,
            is_automatic=self.automatic,
        )
