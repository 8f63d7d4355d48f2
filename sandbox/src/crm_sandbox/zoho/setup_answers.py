"""Layouts and pipelines, the org, its currencies and users, related lists and views.

https://www.zoho.com/crm/developer/docs/api/v8/layouts-meta.html, `get-pipelines.html`,
`get-org-data.html`, `get-users.html`.
"""

import json
from typing import Any

from crm_sandbox.deals import STAGES, Stage
from crm_sandbox.http import Request, Response, json_response
from crm_sandbox.zoho.accounts import Pipeline
from crm_sandbox.zoho.errors import (
    ZohoError,
    invalid_data,
    missing_param,
    no_such_address,
)
from crm_sandbox.zoho.listing import page_of, per_page_of
from crm_sandbox.zoho.metadata import MetadataHandler, name_modules, profiles_of
from crm_sandbox.zoho.org import Org
from crm_sandbox.zoho.population import PROBABILITIES
from crm_sandbox.zoho.related import RELATED
from crm_sandbox.zoho.schema import Module
from crm_sandbox.zoho.staging import USER_COUNT
from crm_sandbox.zoho.versions import Version

_USER_TYPES = {
    "": "true",
    "AllUsers": "true",
    "ActiveUsers": "status = 'active'",
    "DeactiveUsers": "status = 'disabled'",
    "ActiveConfirmedUsers": "status = 'active'",
    "ConfirmedUsers": "true",
    "NotConfirmedUsers": "false",
    "DeletedUsers": "status = 'deleted'",
    "AdminUsers": "status = 'active' AND \"Reporting_To\" IS NULL",
}
_LAYOUT_ACTIONS = (
    *("edit", "rename", "clone", "downgrade", "delete", "deactivate"),
    "set_layout_permissions",
)
_SECTION_ACTIONS = (
    *("add_field", "rename", "change_tab_traversal", "reorder", "delete", "remove_field"),
    "change_column_count",
)
_USER_SQL = """
SELECT to_json({
    'id': t.id::VARCHAR, 'first_name': t.first_name, 'last_name': t.last_name,
    'full_name': t.full_name, 'email': t.email, 'status': t.status, 'zuid': t.zuid,
    'confirm': true, 'created_time': zoho_moment(t.created_time),
    'Modified_Time': zoho_moment(t."Modified_Time"), 'type__s': 'Regular User',
    'Reporting_To': CASE WHEN b.id IS NOT NULL THEN {'name': b.full_name, 'id': b.id::VARCHAR} END,
    'phone': NULL::VARCHAR, 'mobile': NULL::VARCHAR, 'microsoft': false
})::VARCHAR
FROM "Users" t LEFT JOIN "Users" b ON b.id = t."Reporting_To"
"""


class SetupHandler:
    """Answers about what an administrator sets up.

    Args:
        org: its set-up.
        metadata: describes fields.
    """

    def __init__(self, org: Org, metadata: MetadataHandler) -> None:
        self._org = org
        self._metadata = metadata

    def layouts(self, request: Request, rest: list[str], version: Version) -> Response:
        """Answer `settings/layouts` and one layout below it: every module has one."""
        name = request.query.get("module", "")
        if not name:
            raise missing_param("module")
        module = self._org.find(name)
        if module is None:
            raise invalid_data("the module name given seems to be invalid", param_name="module")
        if module.listed_only or (rest and rest[0] != self._layout_id(module)):
            return Response(204)
        layout = self._layout(module)
        if version.names_modules:
            for section in layout["sections"]:
                name_modules(section["fields"])
        return json_response({"layouts": [layout]})

    def pipelines(self, request: Request, rest: list[str]) -> Response:
        """Answer `settings/pipeline` for the layout of Deals, and one pipeline below it."""
        layout = request.query.get("layout_id", "")
        if not layout:
            raise missing_param("layout_id")
        if layout != self._layout_id(self._org.behind("Deals")):
            raise invalid_data("the layout_id given is invalid", param_name="layout_id")
        if not self._org.has_pipelines:
            raise ZohoError(400, "FEATURE_NOT_ENABLED", "the feature is not enabled for the org")
        listed = [
            self._pipeline(one, place) for place, one in enumerate(self._org.account.pipelines)
        ]
        chosen = [one for one in listed if not rest or one["id"] == rest[0]]
        return json_response({"pipeline": chosen}) if chosen else Response(204)

    def org(self, rest: list[str]) -> Response:
        """Answer `org` and `org/currencies`."""
        if rest == ["currencies"]:
            return json_response({"currencies": self._org.currencies.listed()})
        if rest:
            raise no_such_address()
        account = self._org.account
        shown = {
            "id": self._org.ids.setting("org", account.key),
            "zgid": self._org.org_id,
            "company_name": account.company,
            "domain_name": f"org{self._org.org_id}",
            "type": "developer" if self._org.is_developer else "production",
            "time_zone": self._org.zone,
            "currency": f"{account.currency} - {account.currency}",
            "currency_symbol": {"USD": "$", "EUR": "€"}[account.currency],
            "iso_code": account.currency,
            "currency_locale": "en_US",
            "country_code": {"us": "US", "eu": "DE"}[account.centre],
            "created_time": "2017-03-01T09:00:00-08:00",
            "privacy_settings": account.key == "main",
            "license_details": {
                "paid_expiry": None,
                "users_license_purchased": USER_COUNT,
                "trial_type": None,
                "trial_expiry": None,
                "paid": True,
                "paid_type": "enterprise",
                "portal_users_license_purchased": 0,
            },
        }
        return json_response({"org": [shown]})

    def users(self, request: Request, rest: list[str]) -> Response:
        """Answer `users` and one user below it."""
        query = request.query
        kind = query.get("type", "")
        tables = self._org.tables
        if rest or kind == "CurrentUser":
            wanted = str(self._org.user_id) if kind == "CurrentUser" else rest[0]
            found = tables.value(f"{_USER_SQL} WHERE t.id::VARCHAR = ?", [wanted])
            return json_response({"users": [self._user(found)]}) if found else Response(204)
        if kind not in _USER_TYPES:
            raise invalid_data("the type given is invalid", param_name="type")
        page, per_page = page_of(query), per_page_of(query)
        where = f"t._ended IS NULL AND {_USER_TYPES[kind].replace('status', 't.status')}"
        rows = (
            tables.cursor()
            .execute(
                f"{_USER_SQL} WHERE {where} ORDER BY t.id LIMIT {per_page + 1} "
                f"OFFSET {(page - 1) * per_page}"
            )
            .fetchall()
        )
        if not rows:
            return Response(204)
        shown = [self._user(row[0]) for row in rows[:per_page]]
        info = {"per_page": per_page, "count": len(shown), "page": page}
        return json_response(
            {"users": shown, "info": info | {"more_records": len(rows) > per_page}}
        )

    def related_lists(self, request: Request) -> Response:
        """Answer `settings/related_lists`."""
        module = self._org.visible(request.query.get("module", ""))
        listed = []
        for place, (name, link) in enumerate(RELATED.get(module.stored, {}).items(), 1):
            target = self._org.behind(link.table)
            listed.append(
                {
                    "id": self._org.ids.setting("related", f"{module.stored}.{name}"),
                    "api_name": name,
                    "name": name,
                    "display_label": name.replace("_", " "),
                    "sequence_number": str(place),
                    "href": f"{module.name}/{{ENTITYID}}/{name}",
                    "module": {
                        "api_name": target.name,
                        "id": self._org.ids.setting("module", target.stored),
                    },
                    "type": "default",
                }
            )
        return json_response({"related_lists": listed}) if listed else Response(204)

    def views(self, request: Request) -> Response:
        """Answer `settings/custom_views`: one view of everything for each module."""
        module = self._org.visible(request.query.get("module", ""))
        view = {
            "id": self._org.ids.setting("view", module.stored),
            "name": f"All {module.plural}",
            "system_name": f"ALL{module.stored.upper()}",
            "display_value": f"All {module.plural}",
            "default": True,
            "system_defined": True,
            "category": "public_views",
            "favorite": None,
        }
        info = {"per_page": 200, "default": view["id"], "count": 1, "page": 1}
        return json_response({"custom_views": [view], "info": info | {"more_records": False}})

    def _layout_id(self, module: Module) -> str:
        return self._org.ids.setting("layout", module.stored)

    def _layout(self, module: Module) -> dict[str, Any]:
        fields = [
            self._metadata.field(module, one) | {"required": one.mandatory}
            for one in module.visible_fields
            if not one.name.startswith("$")
        ]
        for one in fields:
            del one["email_parser"]
            one["lookup"].pop("query_details", None)
            is_stage = (module.stored, one["api_name"]) == ("Deals", "Stage")
            by_value = self._stages() if is_stage else {}
            one["pick_list_values"] = [
                value | {"maps": []} | by_value.get(value["actual_value"], {})
                for value in one["pick_list_values"]
            ]
        section = {
            "display_label": f"{module.singular} Information",
            "sequence_number": 1,
            "isSubformSection": False,
            "tab_traversal": "left_to_right",
            "api_name": f"{module.stored}_Information",
            "column_count": 2,
            "mode": "view",
            "actions_allowed": dict.fromkeys(_SECTION_ACTIONS, True),
            "name": f"{module.singular} Information",
            "generated_type": "default",
            "id": self._org.ids.setting("section", module.stored),
            "type": "used",
            "fields": fields,
        }
        names = dict.fromkeys(("name", "api_name", "display_label"), "Standard")
        nothing = ("created_for", "created_time", "modified_time", "created_by", "modified_by")
        return names | {
            "id": self._layout_id(module),
            "status": "active",
            "visible": True,
            "source": "crm",
            "generated_type": "system",
            "has_more_profiles": False,
            "show_business_card": True,
            **dict.fromkeys((*nothing, "convert_mapping")),
            "profiles": self._views_of_profiles(),
            "actions_allowed": dict.fromkeys(_LAYOUT_ACTIONS, True),
            "sections": [section],
        }

    def _views_of_profiles(self) -> list[dict[str, Any]]:
        view = {"name": "Standard View", "id": self._org.ids.setting("view", "profile")}
        return [
            profile
            | {
                "default": True,
                "_default_view": view | {"type": "layout"},
                "_default_assignment_view": view | {"type": "layout"},
            }
            for profile in profiles_of(self._org)
        ]

    def _pipeline(self, one: Pipeline, place: int) -> dict[str, Any]:
        maps = [
            {
                "display_value": name,
                "actual_value": name,
                "sequence_number": step,
                "id": self._org.ids.setting("choice", f"Deals.Stage.{name}"),
                "colour_code": "#879bfc",
                "delete": False,
            }
            | self._forecast(stage)
            for step, (name, stage) in enumerate(zip(one.stages, STAGES, strict=True), 1)
        ]
        return {
            "display_value": one.name,
            "actual_value": one.name,
            "default": place == 0,
            "maps": maps,
            "id": self._org.ids.setting("pipeline", one.name),
            "child_available": False,
            "parent": None,
        }

    def _forecast(self, stage: Stage) -> dict[str, Any]:
        """Return what a stage says about the deals in it."""
        outcome = "Closed Won" if stage.won else "Closed Lost"
        return {
            "forecast_type": outcome if stage.closed else "Open",
            "forecast_category": {
                "name": "Closed" if stage.won else "Omitted" if stage.closed else "Pipeline",
                "id": self._org.ids.setting("forecast", stage.forecast),
            },
        }

    def _stages(self) -> dict[str, dict[str, Any]]:
        """Return what the layout says of each stage; the chance stands there alone."""
        return {
            name: self._forecast(stage) | {"probability": chance}
            for pipeline in self._org.account.pipelines
            for name, stage, chance in zip(pipeline.stages, STAGES, PROBABILITIES, strict=True)
        }

    def _user(self, text: str) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(text)
        chief = shown["Reporting_To"] is None
        profile = profiles_of(self._org)[0 if chief else 1]
        role = "CEO" if chief else "Manager"
        return shown | {
            "profile": profile,
            "role": {"name": role, "id": self._org.ids.setting("role", role)},
            "time_zone": self._org.account.zone,
            "locale": "en_US",
        }
