"""SQL that turns a record into the JSON of an answer, in the shape of v2 or of v1."""

from collections.abc import Iterable, Mapping, Sequence

from crm_sandbox.pipedrive.company_data import CompanyData
from crm_sandbox.pipedrive.custom_fields import CustomField
from crm_sandbox.pipedrive.objects.columns import person_card
from crm_sandbox.pipedrive.schema import Column, Entity


def struct(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a DuckDB structure literal of names and expressions."""
    return "{" + ", ".join(f"'{name}': {sql}" for name, sql in pairs) + "}"


def shape_v2(
    company: CompanyData,
    entity: Entity,
    asked: Sequence[str] = (),
    keys: Sequence[str] | None = None,
    *,
    option_labels: bool = False,
    labels: bool = False,
) -> str:
    """Return SQL for the v2 JSON of the record `r`.

    Args:
        company: holds the record.
        entity: its object.
        asked: columns named by `include_fields`.
        keys: custom fields to show; None for all.
        option_labels: whether options come as id and label (`include_option_labels`).
        labels: whether the record's labels come with their names (`include_labels`).
    """
    pairs = [(one.name, one.shape) for one in entity.columns if _is_shown(company, one, asked)]
    tags = entity.column("label_ids")
    if labels and tags is not None:
        pairs.append(("labels", _named('r."label_ids"', dict(tags.options))))
    if entity.has_custom:
        custom = [
            (one.code, _labelled(one) if option_labels else f'r."{one.code}"')
            for one in company.fields(entity.name)
            if keys is None or one.code in keys
        ]
        pairs.append(("custom_fields", struct(custom) if custom else "'{}'::JSON"))
    return f"to_json({struct(pairs)})::VARCHAR"


def _is_shown(company: CompanyData, column: Column, asked: Sequence[str]) -> bool:
    if column.shown == "asked":
        is_app = column.name in {"marketing_status", "doi_status"}
        return column.name in asked and (company.marketing or not is_app)
    return column.shown == "always" or (column.shown == "sync" and company.contact_sync)


def _labelled(one: CustomField) -> str:
    """Return SQL that shows options with their labels."""
    if one.type not in {"enum", "set"}:
        return f'r."{one.code}"'
    if not one.options:
        return "NULL"
    column = f'r."{one.code}"'
    known: dict[int | str, str] = {option.id: option.label for option in one.options}
    if one.type == "set":
        return _named(column, known)
    return f"CASE WHEN {column} IS NOT NULL THEN {_pair(column, known)} END"


def _named(column: str, known: Mapping[int | str, str]) -> str:
    """Return SQL for a list of ids as objects with their labels."""
    return f"list_transform({column}, lambda one: {_pair('one', known)})"


def _pair(value: str, known: Mapping[int | str, str]) -> str:
    labels = ", ".join(f"{number}: {_quoted(label)}" for number, label in known.items())
    return f"{{'id': {value}, 'label': MAP {{{labels}}}[{value}]}}"


def shape_v1(company: CompanyData, entity: Entity, me: int) -> tuple[str, str]:
    """Return SQL for the v1 JSON of the record `r`, and the joins that it needs."""
    custom: list[tuple[str, str]] = []
    joins = entity.v1_from
    for number, one in enumerate(company.fields(entity.name)):
        custom += _v1_values(one, f"k{number}")
        if one.type in {"user", "org", "people"}:
            table = {"user": "users", "org": "organizations", "people": "persons"}[one.type]
            joins += f' LEFT JOIN {table} k{number} ON k{number}.id = r."{one.code}"'
    if entity.name == "leads" and custom:
        # A lead shows the custom fields that have a value only; a merge patch drops the others.
        own, values = f"to_json({struct(entity.v1)})", f"to_json({struct(custom)})"
        sql = f"json_merge_patch({own}, {values})::VARCHAR"
    else:
        sql = f"to_json({struct([*entity.v1, *custom])})::VARCHAR"
    return sql.replace("$company_id", str(company.company_id)).replace("$me", str(me)), joins


def _v1_values(one: CustomField, alias: str) -> list[tuple[str, str]]:
    """Return a custom field in v1: at the top level, structures with siblings, options as text."""
    value = f'r."{one.code}"'
    if one.type == "user":
        return [(one.code, person_card(alias))]
    if one.type in {"org", "people"}:
        shown = f"{{'name': {alias}.name, 'value': {alias}.id}}"
        return [(one.code, f"CASE WHEN {alias}.id IS NOT NULL THEN {shown} END")]
    if one.type == "enum":
        return [(one.code, f"{value}::VARCHAR")]
    if one.type == "set":
        return [(one.code, f"array_to_string({value}, ',')")]
    if not one.members:
        return [(one.code, value)]
    return [
        (one.code if member == "value" else f"{one.code}_{member}", f"{value}.{member}")
        for member in one.members
    ]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
