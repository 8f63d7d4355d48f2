from __future__ import annotations

import random
import re
from copy import deepcopy
from typing import Any

import pytest

from crm_sandbox.pipedrive.operations import ROUTES

IDS = ("1", "2", "3", "0", "99999999999", "x", "41", "٣")
TEXTS = ("", "0", "-1", "1", "2", "9" * 22, "x", "ü'\"", "null", "true", "1,2,x", "1.5", "%00")
PARAMETERS = (
    *("limit", "start", "cursor", "ids", "owner_id", "person_id", "org_id", "status", "sort"),
    *("updated_since", "updated_until", "sort_by", "include_fields", "custom_fields", "term"),
    *("fields", "deal_ids", "since_timestamp", "items", "done", "lead_id", "deal_id", "since"),
    *("stage_id", "item_types", "entity_type", "field", "match", "exact_match", "type"),
)
VALUES: tuple[Any, ...] = (
    *(None, "", 0, -1, 1, 1.5, True, "x", [], [1], {}, {"value": 1}, {"value": "x"}),
    *([{"id": 1}], [{"value": "a"}], [{"label": "a"}], 10**14, 10**30, "2026-01-01", [None], [{}]),
)
KEYS = (
    *("name", "title", "owner_id", "person_id", "org_id", "emails", "phones", "custom_fields"),
    *("value", "currency", "stage_id", "pipeline_id", "status", "label_ids", "address", "prices"),
    *("participants", "done", "content", "deal_id", "email", "field_name", "field_type", "options"),
    *("merge_with_id", "product_id", "item_price", "quantity", "data", "user_id", "is_archived"),
    *("subscription_url", "event_action", "event_object", "organization_id", "add_time", "tax"),
    *("expected_close_date", "visible_to", "attendees", "due_date", "category", "probability"),
)


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "PUT"])
def test_no_request_makes_it_fail(own, method: str) -> None:
    """Whatever parameters and bodies are sent, the answer is the API's own and never a failure of it."""
    draw = random.Random(method)
    own.truth.set_limits(api_token=100_000, search=100_000)
    codes = [one["code"] for one in own.truth.fields("persons")]
    for route in [one for one in ROUTES if one.method == method]:
        for _ in range(3 if method == "GET" else 4):
            path = re.sub(r"\{\w+\}", lambda _: draw.choice((*IDS, codes[0])), route.template)
            query = {draw.choice(PARAMETERS): draw.choice(TEXTS) for _ in range(draw.randint(0, 2))}
            keys = draw.sample((*KEYS, *codes), draw.randint(0, 3))
            body = {key: deepcopy(draw.choice(VALUES)) for key in keys} | {
                "name": "x",
                "title": "x",
            }
            sent = None if method == "GET" else body
            response = own.http.request(method, own.root + path, params=query, json=sent)
            assert response.status_code < 500, (method, path, query, sent, response.text)
            assert response.json()["success"] in {True, False}
