"""Metadata of the org: the list of objects and each object's fields."""

import calendar
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from zlib import crc32

from crm_sandbox.http import Request, Response, json_response
from crm_sandbox.salesforce.oauth import instance_url
from crm_sandbox.salesforce.org import Org
from crm_sandbox.salesforce.schema import ID_TYPES, TEXT_TYPES, Field, SObject, label_of

_SOAP_TYPES = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "address": "urn:address",
    "location": "urn:location",
}
_MASTER = "012000000000000AAA"
_INTERFACES = (
    *("defaultImplementation", "extendedBy", "extendsInterfaces"),
    *("implementedBy", "implementsInterfaces"),
)
_NUMBERS = frozenset({"double", "currency", "percent"})


def global_describe(org: Org, version: str) -> Response:
    """Answer `/sobjects`."""
    listed = [_object_head(one, version) for one in org.objects]
    return json_response({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": listed})


def object_describe(org: Org, request: Request, name: str, version: str) -> Response:
    """Answer `/sobjects/X/describe`, or 304 when nothing changed since the client looked."""
    sobject = org.visible(name)
    changed = org.schema_moment.replace(tzinfo=UTC)
    body = _object_head(sobject, version) | {
        "actionOverrides": [],
        "childRelationships": _children(org, sobject),
        "compactLayoutable": True,
        "fields": [describe_field(one) for one in sobject.visible_fields],
        "listviewable": None,
        "lookupLayoutable": None,
        "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": [_master_record_type(sobject, version)],
        "searchLayoutable": True,
        "sobjectDescribeOption": "FULL",
        "supportedScopes": [{"label": f"All {sobject.plural}", "name": "everything"}],
        "urls": _urls(sobject, version, instance_url(request)),
        **dict.fromkeys(_INTERFACES),
    }
    response = json_response(body)
    tag = f'"{crc32(response.body):08x}"'
    headers = (("ETag", tag), ("Last-Modified", format_datetime(changed, usegmt=True)))
    if _is_known(request, tag) or _unchanged(request.header("if-modified-since"), changed):
        return Response(304, b"", headers)
    return replace(response, headers=headers)


def object_basics(org: Org, name: str, version: str) -> Response:
    """Answer `/sobjects/X`: the head and recently seen records (none)."""
    head = _object_head(org.visible(name), version)
    return json_response({"objectDescribe": head, "recentItems": []})


def _is_known(request: Request, tag: str) -> bool:
    return tag in [one.strip() for one in request.header("if-none-match").split(",")]


def _unchanged(since: str, changed: datetime) -> bool:
    if not since:
        return False
    try:
        seen = parsedate_to_datetime(since)
    except ValueError:
        return False
    return calendar.timegm(seen.utctimetuple()) >= calendar.timegm(changed.utctimetuple())


def _object_head(one: SObject, version: str) -> dict[str, Any]:
    base = f"/services/data/v{version}/sobjects/{one.name}"
    label = label_of(one.name)
    return {
        "activateable": False,
        "associateEntityType": None,
        "associateParentEntity": None,
        "createable": one.createable,
        "custom": one.custom,
        "customSetting": False,
        "deepCloneable": False,
        "deletable": one.createable,
        "deprecatedAndHidden": False,
        "feedEnabled": False,
        "hasSubtypes": False,
        "isInterface": False,
        "isSubtype": False,
        "keyPrefix": one.prefix,
        "label": label,
        "labelPlural": one.plural,
        "layoutable": one.createable,
        "mergeable": one.mergeable,
        "mruEnabled": one.createable,
        "name": one.name,
        "queryable": True,
        "replicateable": one.has_deleted,
        "retrieveable": True,
        "searchable": one.createable,
        "triggerable": one.createable,
        "undeletable": one.has_deleted,
        "updateable": one.createable,
        "urls": {
            "rowTemplate": f"{base}/{{ID}}",
            "describe": f"{base}/describe",
            "sobject": base,
        },
    }


def _children(org: Org, sobject: SObject) -> list[dict[str, Any]]:
    return [
        {
            "cascadeDelete": False,
            "childSObject": other.name,
            "deprecatedAndHidden": False,
            "field": one.name,
            "junctionIdListNames": [],
            "junctionReferenceTo": [],
            "relationshipName": None,
            "restrictedDelete": False,
        }
        for other in org.objects
        for one in other.visible_fields
        if sobject.name in one.reference_to
    ]


def _urls(one: SObject, version: str, instance: str) -> dict[str, str]:
    base = f"/services/data/v{version}/sobjects/{one.name}"
    return {
        "compactLayouts": f"{base}/describe/compactLayouts",
        "rowTemplate": f"{base}/{{ID}}",
        "approvalLayouts": f"{base}/describe/approvalLayouts",
        "uiDetailTemplate": f"{instance}/{{ID}}",
        "uiEditTemplate": f"{instance}/{{ID}}/e",
        "listviews": f"{base}/listviews",
        "describe": f"{base}/describe",
        "uiNewRecord": f"{instance}/{one.prefix}/e",
        "quickActions": f"{base}/quickActions",
        "layouts": f"{base}/describe/layouts",
        "sobject": base,
    }


def _master_record_type(one: SObject, version: str) -> dict[str, Any]:
    layouts = f"/services/data/v{version}/sobjects/{one.name}/describe/layouts"
    return {
        "active": True,
        "available": True,
        "defaultRecordTypeMapping": True,
        "developerName": "Master",
        "master": True,
        "name": "Master",
        "recordTypeId": _MASTER,
        "urls": {"layout": f"{layouts}/{_MASTER}"},
    }


def describe_field(one: Field) -> dict[str, Any]:
    """Return one field with the full set of keys, in the vendor's order."""
    made = _first_half(one) | _second_half(one)
    return dict(sorted(made.items()))


def _first_half(one: Field) -> dict[str, Any]:
    text = one.type in TEXT_TYPES or one.type in ID_TYPES
    filterable = not one.is_compound and not (one.type == "textarea" and one.length > 255)
    return {
        "aggregatable": filterable and one.type != "boolean",
        "aiPredictionField": False,
        "autoNumber": one.name == "CaseNumber",
        "byteLength": one.length * 3 if text and one.type not in ID_TYPES else one.length,
        "calculated": one.calculated,
        "calculatedFormula": one.formula or None,
        "cascadeDelete": False,
        "caseSensitive": one.external_id and one.unique,
        "compoundFieldName": one.compound or None,
        "controllerName": None,
        "createable": one.createable,
        "custom": one.custom,
        "defaultValue": False if one.type == "boolean" else None,
        "defaultValueFormula": None,
        "defaultedOnCreate": one.type in {"boolean", "id"} or one.name == "OwnerId",
        "dependentPicklist": False,
        "deprecatedAndHidden": False,
        "digits": 9 if one.type == "int" else 0,
        "displayLocationInDecimal": False,
        "encrypted": False,
        "externalId": one.external_id,
        "extraTypeInfo": "plaintextarea" if one.type == "textarea" else None,
        "filterable": filterable,
        "filteredLookupInfo": None,
    }


def _second_half(one: Field) -> dict[str, Any]:
    filterable = not one.is_compound and not (one.type == "textarea" and one.length > 255)
    return {
        "formulaTreatNullNumberAsZero": False,
        "groupable": filterable and one.type not in {"datetime", *_NUMBERS},
        "highScaleNumber": False,
        "htmlFormatted": False,
        "idLookup": one.type == "id" or one.external_id,
        "inlineHelpText": None,
        "label": one.label or label_of(one.name),
        "length": one.length,
        "mask": None,
        "maskType": None,
        "name": one.name,
        "nameField": one.name_field,
        "namePointing": len(one.reference_to) > 1,
        "nillable": one.nillable,
        "permissionable": one.nillable and one.type != "id",
        "picklistValues": _picklist(one),
        "polymorphicForeignKey": len(one.reference_to) > 1,
        "precision": one.precision,
        "queryByDistance": False,
        "referenceTargetField": None,
        "referenceTo": list(one.reference_to),
        "relationshipName": one.relationship or None,
        "relationshipOrder": None,
        "restrictedDelete": False,
        "restrictedPicklist": False,
        "scale": one.scale,
        "searchPrefilterable": False,
        "soapType": _SOAP_TYPES.get(one.type, "xsd:string"),
        "sortable": filterable,
        "type": one.type,
        "unique": one.unique,
        "updateable": one.updateable,
        "writeRequiresMasterRead": False,
    }


def _picklist(one: Field) -> list[dict[str, Any]]:
    labels = dict(one.labels)
    return [
        {
            "active": value not in one.unused,
            "defaultValue": False,
            "label": labels.get(value, value),
            "validFor": None,
            "value": value,
        }
        for value in one.values
    ]
