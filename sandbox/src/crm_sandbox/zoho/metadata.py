"""Metadata of modules and fields.

https://www.zoho.com/crm/developer/docs/api/v8/modules-api.html and `field-meta.html`. A module that is
listed may have no fields to show, which answers 204.
"""

from typing import Any

from crm_sandbox.http import Request, Response, json_response
from crm_sandbox.zoho.errors import invalid_data, missing_param, no_such_address
from crm_sandbox.zoho.org import Org
from crm_sandbox.zoho.schema import NUMBERS, Field, Module
from crm_sandbox.zoho.versions import Version

# A developer or sandbox environment lists about half of the modules:
# https://github.com/airbytehq/airbyte/pull/11193
_NOT_FOR_DEVELOPERS = frozenset(
    {
        "DealHistory",
        "Campaigns",
        "Cases",
        "Quotes",
        "Quoted_Items",
        "Service_Contracts",
        "Interested_Products",
        "Deal_Team",
        "Visits",
        "Dashboards",
        "Feeds",
    }
)
_OF_PLAIN_MODULES = (
    *("global_search_supported", "recycle_bin_on_delete", "presence_sub_menu", "quick_create"),
    *("triggers_supported", "isBlueprintSupported", "emailTemplate_support", "filter_supported"),
    *("show_as_tab", "lookupable", "sub_menu_available"),
)
_NEVER = ("feeds_required", "public_fields_configured", "has_more_profiles")
_NO_FIELD_HAS = (
    *("colour_code_enabled_by_system", "enable_colour_code", "virtual_field", "public"),
    *("pick_list_values_sorted_lexically", "blueprint_supported"),
)
_UNSET = (
    *("tooltip", "customizable_properties", "association_details", "created_time", "modified_time"),
    *("crypt", "range", "hipaa_compliance", "address", "global_picklist", "history_tracking"),
    "additional_column",
)
_UI_TYPES = {"text": 1, "textarea": 3, "picklist": 2, "email": 25, "phone": 33, "boolean": 301}


def profiles_of(org: Org) -> list[dict[str, Any]]:
    """Return the two profiles of an org."""
    names = ("Administrator", "Standard")
    return [{"name": name, "id": org.ids.setting("profile", name)} for name in names]


class MetadataHandler:
    """Answers about modules and fields.

    Args:
        org: its set-up.
    """

    def __init__(self, org: Org) -> None:
        self._org = org

    def modules(self, rest: list[str], *, developer: bool) -> Response:
        """Answer `settings/modules` and one module below it."""
        shown = [
            one
            for one in self._org.modules
            if not (developer and one.stored in _NOT_FOR_DEVELOPERS)
        ]
        if rest:
            wanted = rest[0].lower()
            shown = [
                one for one in shown if wanted in {one.name.lower(), self._id("module", one.stored)}
            ]
            if not shown or len(rest) > 1:
                raise invalid_data("the module name given seems to be invalid")
        listed = [self._module(one, place) for place, one in enumerate(shown)]
        return json_response({"modules": listed}) if listed else Response(204)

    def fields(self, request: Request, rest: list[str], version: Version) -> Response:
        """Answer `settings/fields` and one field below it."""
        query = request.query
        if not query.get("module"):
            raise missing_param("module")
        module = self._org.find(query["module"])
        if module is None:
            raise invalid_data("the module name given seems to be invalid", param_name="module")
        if len(rest) > 1:
            raise no_such_address()
        # Every field of these modules is in use.
        shown = [] if query.get("type") == "unused" else module.visible_fields
        listed = [self.field(module, one) for one in shown if not one.name.startswith("$")]
        if rest:
            listed = [one for one in listed if one["id"] == rest[0]]
            if not listed:
                raise invalid_data("the field id given seems to be invalid")
        if version.names_modules:
            name_modules(listed)
        return json_response({"fields": listed}) if listed else Response(204)

    def field(self, module: Module, one: Field) -> dict[str, Any]:
        """Return what metadata says about a field."""
        return (
            _flags(one)
            | {
                "api_name": one.name,
                "field_label": one.label,
                "display_label": one.label,
                "data_type": one.type,
                "json_type": one.json_type,
                "id": self._id("field", f"{module.stored}.{one.stored}"),
                "length": one.length or 120,
                "column_name": f"{module.stored.upper()}_{one.stored.upper()}",
                "unique": {"case_sensitive": False} if one.unique else {},
                "external": {"type": "org", "show": False} if one.external else None,
                "pick_list_values": self._choices(module, one),
                "profiles": [
                    {"permission_type": "read_write", **profile}
                    for profile in profiles_of(self._org)
                ],
                "private": {"restricted": True, "type": "High", "export": True}
                if one.restricted
                else None,
                "display_field": one.stored == module.title_column,
            }
            | self._details(one)
        )

    def _details(self, one: Field) -> dict[str, Any]:
        """Return what only fields of one type have."""
        kind = one.type
        made: dict[str, Any] = {
            "lookup": self._lookup(one) if kind == "lookup" else {},
            "formula": {},
            "auto_number": {"prefix": "K", "start_number": 0} if kind == "autonumber" else {},
            "currency": {},
            "rollup_summary": {},
            "multi_module_lookup": {},
            "multiselectlookup": self._linking(one) if kind == "multiselectlookup" else {},
            "associated_module": None,
        }
        if kind == "formula":
            made["formula"] = {"return_type": _formula_type(one.result), "dynamic": False}
        if one.value_type == "currency":
            made["currency"] = {"rounding_option": "normal", "precision": 2}
        if kind == "subform":
            number = self._id("module", one.rows)
            made["associated_module"] = {"module": self._name(one.rows), "id": number}
        if kind == "multiuserlookup":
            linking = self._linking(one)["linking_details"]
            del linking["module"]["visibility"]
            made["multiuserlookup"] = {"linking_details": linking, "record_access": False}
        if kind == "textarea":
            made["textarea"] = {"type": "rich_text" if one.rich else "large"}
        return made

    def _lookup(self, one: Field) -> dict[str, Any]:
        target = "se_module" if one.target == "se_module" else self._name(one.target)
        return {
            "display_label": one.label,
            "api_name": one.name,
            "module": {"api_name": target, "crypt": False, "id": self._id("module", one.target)},
            "query_details": {"query_id": self._id("query", one.name), "system_query_id": None},
            "id": self._id("lookup", one.name),
        }

    def _linking(self, one: Field) -> dict[str, Any]:
        """Return through which module several lookups are stored."""
        module = self._org.behind(one.rows)
        left, right = module.fields[1], module.fields[2]

        def shown(field: Field) -> dict[str, Any]:
            return {
                "api_name": field.name,
                "field_label": field.label,
                "id": self._id("field", f"{module.stored}.{field.stored}"),
            }

        return {
            "linking_details": {
                "module": {
                    "visibility": 0,
                    "plural_label": module.plural,
                    "id": self._id("module", module.stored),
                    "api_name": module.name,
                },
                "lookup_field": shown(left),
                "connected_lookup_field": shown(right),
            },
            "connected_details": {
                "module": {
                    "plural_label": self._org.behind(one.target).plural,
                    "api_name": self._name(one.target),
                    "id": self._id("module", one.target),
                },
                "field": shown(right),
                "layouts": [],
            },
            "related_list": {
                "display_label": one.label,
                "api_name": one.name,
                "id": self._id("related", one.name),
            },
        }

    def _choices(self, module: Module, one: Field) -> list[dict[str, Any]]:
        if one.type not in {"picklist", "multiselectpicklist"}:
            return []
        return [
            {
                "display_value": value,
                "actual_value": value,
                "reference_value": value,
                "sequence_number": place,
                "colour_code": "#879bfc",
                "type": "used",
                "id": self._id("choice", f"{module.stored}.{one.stored}.{value}"),
            }
            for place, value in enumerate(one.values, 1)
        ]

    def _module(self, one: Module, place: int) -> dict[str, Any]:
        plain = one.kind in {"default", "custom"}
        parent = {"api_name": one.parent, "id": self._id("module", one.parent)}
        return (
            dict.fromkeys(_OF_PLAIN_MODULES, plain)
            | dict.fromkeys(_NEVER, False)
            | dict.fromkeys(("description", "modified_time", "web_link", "modified_by"))
            | dict.fromkeys(("plural_label", "actual_plural_label"), one.plural)
            | dict.fromkeys(("singular_label", "actual_singular_label"), one.singular)
            | {
                "id": self._id("module", one.stored),
                "api_name": one.name,
                "module_name": "CustomModule1" if one.kind == "custom" else one.stored,
                "generated_type": one.kind,
                "api_supported": one.api_supported,
                "viewable": one.api_supported,
                "creatable": one.creatable and one.api_supported,
                "editable": one.creatable,
                "deletable": one.kind == "custom",
                "convertable": one.stored in {"Leads", "Quotes"},
                "inventory_template_supported": one.stored == "Quotes",
                "visibility": 1 if plain else 0,
                "profiles": profiles_of(self._org),
                "profile_count": 2,
                "sequence_number": place,
                "access_type": "org_based",
                "business_card_field_limit": 5 if plain else 0,
                "parent_module": parent if one.parent else {},
                "status": "visible" if plain else "system_hidden",
                "arguments": [],
            }
        )

    def _name(self, table: str) -> str:
        return self._org.behind(table).name

    def _id(self, kind: str, name: str) -> str:
        return self._org.ids.setting(kind, name)


def name_modules(fields: list[dict[str, Any]]) -> None:
    """Let lookups say the name of their module only, as the second version does."""
    for one in fields:
        if one["lookup"]:
            one["lookup"]["module"] = one["lookup"]["module"]["api_name"]


def _formula_type(kind: str) -> str:
    return {"text": "string"}.get(kind, kind)


def _flags(one: Field) -> dict[str, Any]:
    writable = not one.read_only and one.type != "formula"
    long = one.type == "textarea"
    ways = ("web_update", "api_create", "web_create", "api_update")
    parsing = ("fields_update_supported", "record_operations_supported")
    return (
        dict.fromkeys(_NO_FIELD_HAS, False)
        | dict.fromkeys(_UNSET)
        | dict.fromkeys(("webhook", "businesscard_supported", "visible"), True)
        | {
            "operation_type": dict.fromkeys(ways, writable),
            "type": "used",
            "field_read_only": one.read_only,
            "read_only": one.read_only,
            "filterable": one.is_stored and not long,
            "sortable": one.is_stored and not long,
            "searchable": one.is_stored and not one.structured,
            "view_type": {
                "view": True,
                "edit": writable,
                "quick_create": one.mandatory,
                "create": writable,
            },
            "separator": one.value_type in NUMBERS,
            "history_tracking_enabled": one.stored == "Stage",
            "system_mandatory": one.mandatory,
            "created_source": "default",
            "display_type": -1,
            "ui_type": _UI_TYPES.get(one.type, 1),
            "email_parser": dict.fromkeys(parsing, True),
            "custom_field": one.custom,
            "convert_mapping": {},
            "decimal_place": 2 if one.value_type in {"double", "currency"} else None,
            "mass_update": writable,
        }
    )
