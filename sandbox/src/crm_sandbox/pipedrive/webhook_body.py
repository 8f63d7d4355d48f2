"""The body of a webhook delivery (version 2.0): the record, its previous values, and metadata.

It is not the REST answer: ids in `meta` are texts, `visible_to` is a text, and values of custom fields
that point at users, persons or organizations are objects.
Source: https://pipedrive.readme.io/docs/guide-for-webhooks-v2
"""

import uuid
from collections.abc import Sequence
from typing import Any

from crm_sandbox.pipedrive.company_data import CompanyData
from crm_sandbox.pipedrive.store import News

_POINTERS = {"user": "user", "org": "organization", "people": "person"}


def body_of(company: CompanyData, news: News) -> dict[str, Any]:
    """Return `data` and `previous` of a delivery."""
    before, after = (_shape(company, news, one) for one in (news.before, news.after))
    if news.action == "create":
        return {"data": after, "previous": None}
    if news.action == "delete":
        return {"data": None, "previous": before}
    return {"data": after, "previous": _changed(before or {}, after or {})}


def meta(company: CompanyData, news: News, permitted: Sequence[int]) -> dict[str, Any]:
    """Return what is the same for every webhook that hears of this."""
    return {
        "action": news.action,
        "company_id": str(company.company_id),
        "correlation_id": news.correlation,
        "entity_id": str(news.record),
        "entity": news.entity.singular,
        "id": str(uuid.uuid4()),
        "is_bulk_edit": news.is_bulk,
        "timestamp": f"{company.clock.now():%Y-%m-%dT%H:%M:%S}.000Z",
        "user_id": str(news.author.user),
        "version": "2.0",
        "change_source": news.author.source,
        "permitted_user_ids": [str(user) for user in permitted],
        "host": f"{company.access.domain}.pipedrive.com",
    }


def _shape(
    company: CompanyData, news: News, record: dict[str, Any] | None
) -> dict[str, Any] | None:
    if record is None:
        return None
    made = dict(record)
    if made.get("visible_to") is not None:
        made["visible_to"] = str(made["visible_to"])
    if "custom_fields" in made:
        kinds = {one.code: one.type for one in company.fields(news.entity.name)}
        made["custom_fields"] = {
            code: {"id": value, "type": _POINTERS[kinds[code]]}
            if value is not None and kinds.get(code) in _POINTERS
            else value
            for code, value in made["custom_fields"].items()
        }
    return made


def _changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return the old values of what is another now."""
    made = {
        key: value
        for key, value in before.items()
        if key != "custom_fields" and after.get(key) != value
    }
    old, new = before.get("custom_fields", {}), after.get("custom_fields", {})
    custom = {code: value for code, value in old.items() if new.get(code) != value}
    return made | ({"custom_fields": custom} if custom else {})
