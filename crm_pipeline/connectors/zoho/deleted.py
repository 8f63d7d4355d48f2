"""Reads deleted records, their ids and times of deletion, from `/{module}/deleted`.

The vendor's counts do not include them. A record without a time counts as deleted too. Permanently deleted
records no longer have names. The list includes the losers of merges. Source:
zoho.com/crm/developer/docs/api/v8/get-deleted-records.html.
"""

from collections.abc import Generator

import structlog

from crm_pipeline.connectors.base import Page, Plan
from crm_pipeline.connectors.zoho import keys, meter, responses
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.connectors.zoho.checkpoints import DELETED, ReadCheckpoint
from crm_pipeline.connectors.zoho.responses import ResponsePage
from crm_pipeline.kernel.errors import NotPermitted, ProtocolError, Rejected
from crm_pipeline.store.landing.checkpoint import Checkpoint

_log = structlog.get_logger(__name__)
_PER_PAGE = 200
_ATTEMPTS = 4
_NOT_OFFERED = frozenset({"NOT_SUPPORTED", "API_NOT_SUPPORTED", "INVALID_MODULE"})
# Kinds of modules whose records are parts of others: the vendor may not list their deletions.
PART_KINDS = frozenset({"subform", "linking", "field_tracker", "web"})


def pages(api: Api, plan: Plan, checkpoint: Checkpoint, *, kind: str) -> Generator[Page]:
    """Yield at most one page, with the records that were deleted in the plan's window.

    Args:
        api: the account.
        plan: the planned read.
        checkpoint: of the window.
        kind: the module's `generated_type`.
    """
    window = plan.window
    if window is None or ReadCheckpoint(api, plan, checkpoint).has_deleted():
        return
    asked_at = api.now()
    try:
        listed, calls = _stable_list(api, plan)
    except (NotPermitted, Rejected) as error:
        if error.code == "OAUTH_SCOPE_MISMATCH" or (
            kind not in PART_KINDS and error.code not in _NOT_OFFERED
        ):
            raise
        _log.warning(
            "deleted records of a module cannot be read",
            connection=api.connection.name,
            module=plan.object,
            code=error.code,
            cure="Set 'snapshot: true' for it, so that what is absent counts as deleted.",
        )
        return
    inside = [
        at is None or (at < window.to_at and (window.from_at is None or at >= window.from_at))
        for at in listed.instants()
    ]
    selected = listed.only(inside)
    if not selected.seen:
        return
    batch = selected.batch(f"{api.connection.name}.{plan.object}", deleted=True)
    yield Page(
        shape="json",
        route=plan.route,
        batches=lambda: iter([batch]),
        extracted_at=asked_at,
        calls=calls,
        number=checkpoint.fresh_number(),
        facts={"kind": DELETED},
        counted=False,
        rejected=selected.rejected,
        origin=keys.DELETED,
    )


def _stable_list(api: Api, plan: Plan) -> tuple[ResponsePage, int]:
    """Return the whole list and the number of calls; the list is read again if its pages shifted."""
    calls = 0
    for _ in range(_ATTEMPTS):
        first = _page(api, plan, 1)
        whole, number, last = first.copy(), 1, first
        while last.has_more:
            number += 1
            last = _page(api, plan, number)
            whole.extend(last)
        calls += number
        if number == 1:
            return whole, calls
        calls += 1
        if _page(api, plan, 1).ids == first.ids and len(set(whole.ids)) == len(whole):
            return whole, calls
    raise ProtocolError(
        f"{api.connection.name}.{plan.object}: the list of deleted records changes faster than it can be "
        "read.",
        cure="Run again at a quieter time.",
    )


def _page(api: Api, plan: Plan, number: int) -> ResponsePage:
    headers = {}
    if plan.window is not None and plan.window.from_at is not None:
        headers["If-Modified-Since"] = responses.instant_text(plan.window.from_at)
    params = {"type": "all", "page": str(number), "per_page": str(_PER_PAGE)}
    reader = responses.page_reader(f"{api.connection.name}.{plan.object}", rule=keys.DELETED_RULE)
    return api.ask(f"/{plan.object}/deleted", meter.DELETED, reader, params, headers)
