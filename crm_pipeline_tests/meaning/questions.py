"""The questions of docs/analysts, answered by plain Python over plain rows.

Belongs here: how answers are compared, and the questions by their files. What each answers stands in
`questions_<topic>.py`. No SQL: a query and its answer here must not be wrong together.
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from crm_pipeline_tests.meaning import (
    questions_deals,
    questions_people,
    questions_verdicts,
    questions_work,
)
from crm_pipeline_tests.meaning.rows import Rows

Answer = Callable[[Rows], Iterable[tuple[Any, ...]]]

ANSWERS: dict[str, Answer] = {
    "01_pipeline_velocity.sql": questions_deals.velocity,
    "02_stage_conversion.sql": questions_work.stage_conversion,
    "03_forecast_by_stage.sql": questions_deals.forecast,
    "04_campaign_attribution.sql": questions_people.attribution,
    "05_lead_response.sql": questions_people.lead_response,
    "06_win_rate_by_owner.sql": questions_deals.win_rate_by_owner,
    "07_duplicate_candidates.sql": questions_people.duplicates,
    "08_stale_deals.sql": questions_work.stale_deals,
    "09_email_quality.sql": questions_people.email_quality,
    "10_activity_per_deal.sql": questions_work.activity_per_deal,
    "11_time_in_stage.sql": questions_work.time_in_stage,
    "12_deals_by_source.sql": questions_deals.by_source,
    "14_one_currency.sql": questions_deals.one_currency,
    "15_win_rate_over_time.sql": questions_deals.win_rate_over_time,
    "16_conversion_by_cohort.sql": questions_people.cohorts,
    "17_loss_reasons.sql": questions_deals.loss_reasons,
    "18_contacts_of_a_deal.sql": questions_people.contacts_of_deals,
    "19_pipeline_on_a_past_day.sql": questions_work.past_pipeline,
}
"""Queries over what CRMs have, by file; two more are about `ops`, which none has."""
OF_VERDICTS: dict[str, Answer] = {
    "21_who_may_be_written_to.sql": questions_verdicts.not_refusing,
    "22_what_may_be_mailed.sql": questions_verdicts.may_be_mailed,
    "23_bounce_risk_by_source.sql": questions_verdicts.bounce_risk,
    "24_phones_that_cannot_be_dialled.sql": questions_verdicts.undiallable,
    "25_mistyped_addresses.sql": questions_verdicts.mistyped,
}
"""Queries about verdicts, which the stage `verified` adds."""

_CLOSE = 1e-3
"""Queries round; so much may two ways of rounding differ, in parts of the value or, below one, in whole."""


def differences(ours: Sequence[Sequence[Any]], theirs: Iterable[Sequence[Any]]) -> list[str]:
    """Say which rows only one side has; the order of rows does not matter."""
    left = sorted((tuple(map(_plain, row)) for row in ours), key=_order)
    right = sorted((tuple(map(_plain, row)) for row in theirs), key=_order)
    said: list[str] = []
    unmatched = list(right)
    for row in left:
        match = next((other for other in unmatched if _same(row, other)), None)
        if match is None:
            said.append(f"only the query: {row}")
        else:
            unmatched.remove(match)
    return said + [f"only the truth: {row}" for row in unmatched]


def _plain(cell: Any) -> Any:
    match cell:
        case bool() | None:
            return cell
        case int() | Decimal():
            return float(cell)
        case list():
            return tuple(cell)
        case _:
            return cell


def _order(row: tuple[Any, ...]) -> str:
    return repr([cell for cell in row if not isinstance(cell, float)])


def _same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return len(one) == len(other) and all(map(_equal, one, other))


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= _CLOSE * max(1.0, abs(one) / 100)
    return type(one) is type(other) and bool(one == other)
