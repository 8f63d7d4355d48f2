"""Conversions of leads to deals and of deals to leads: jobs with a state that clients poll.

Source: https://developers.pipedrive.com/docs/api/v1/Leads#convertLeadToDeal
"""

from crm_sandbox.http import Response
from crm_sandbox.pipedrive.company import Company
from crm_sandbox.pipedrive.conversion_store import Conversion
from crm_sandbox.pipedrive.errors import ApiError
from crm_sandbox.pipedrive.objects import ENTITIES
from crm_sandbox.pipedrive.reads_v1 import one_lead
from crm_sandbox.pipedrive.records import found
from crm_sandbox.pipedrive.route import Call, Route, ok, reading, writing
from crm_sandbox.pipedrive.writes import author, read_body

_LEADS, _DEALS = ENTITIES["leads"], ENTITIES["deals"]


def _polled(call: Call, entity: str) -> Conversion:
    """Return a job after one more step.

    Raises:
        ApiError: 404 for an unknown one.
    """
    company, conversions = call.company, call.company.conversions
    with conversions.lock:
        job = conversions.find(call.parts["conversion"], entity)
        if job is None:
            raise ApiError(404, "Conversion was not found")
        job.polls += 1
        if job.state in {"completed", "failed"}:
            return job
        if job.polls <= company.conversion_polls:
            job.state = "not_started" if job.polls == 1 else "running"
        elif company.conversion_fails:
            job.state = "failed"
        else:
            job.target = _to_deal(company, job) if entity == "leads" else _to_lead(company, job)
            job.state = "completed"
        return job


def _to_deal(company: Company, job: Conversion) -> int:
    lead = company.store.row(_LEADS, job.source)
    assert lead is not None
    values = {
        "title": lead["title"],
        "owner_id": lead["owner_id"],
        "person_id": lead["person_id"],
        "org_id": lead["organization_id"],
        "value": lead["amount"] or 0.0,
        "currency": lead["currency"],
        "expected_close_date": lead["expected_close_date"],
        "source_lead_id": job.source,
        "origin": lead["origin"],
        **job.place,
    }
    deal = company.store.create(_DEALS, values, job.author)
    company.store.delete(_LEADS, job.source, job.author)
    return int(deal)


def _to_lead(company: Company, job: Conversion) -> str:
    deal = company.store.row(_DEALS, job.source)
    assert deal is not None
    values = {
        "title": deal["title"],
        "owner_id": deal["owner_id"],
        "person_id": deal["person_id"],
        "organization_id": deal["org_id"],
        "amount": deal["value"],
        "currency": deal["currency"],
        "expected_close_date": deal["expected_close_date"],
        "source_deal_id": job.source,
    }
    lead = company.store.create(_LEADS, values, job.author)
    company.store.delete(_DEALS, job.source, job.author)
    return str(lead)


def _convert_lead(call: Call) -> Response:
    body = call.body() if call.request.body else {}
    place = read_body(call.company, _DEALS, {**body, "title": "x"}, is_new=True)
    place.pop("title")
    job = call.company.conversions.begin("leads", one_lead(call), place, author(call))
    return ok({"conversion_id": job.id}, additional_data=None)


def _convert_deal(call: Call) -> Response:
    record = found(call.company, _DEALS, call.parts["id"], call.sight, alive=True)
    job = call.company.conversions.begin("deals", record, {}, author(call))
    return ok({"conversion_id": job.id}, additional_data=None)


def _lead_status(call: Call) -> Response:
    return _status(call, "leads", "deal_id")


def _deal_status(call: Call) -> Response:
    return _status(call, "deals", "lead_id")


def _status(call: Call, entity: str, target: str) -> Response:
    job = _polled(call, entity)
    data = {"conversion_id": job.id, "status": job.state}
    more = {target: job.target} if job.target is not None else {}
    return ok(data | more, additional_data=None)


ROUTES = (
    Route("POST", "/api/v2/leads/{id}/convert/deal", 40, writing("leads"), _convert_lead),
    Route("POST", "/api/v2/deals/{id}/convert/lead", 40, writing("deals"), _convert_deal),
    Route(
        "GET",
        "/api/v2/leads/{id}/convert/status/{conversion}",
        1,
        reading("leads"),
        _lead_status,
    ),
    Route(
        "GET",
        "/api/v2/deals/{id}/convert/status/{conversion}",
        1,
        reading("deals"),
        _deal_status,
    ),
)
