"""The contract of an object as its vendor describes it: type, nullability, length, precision, pick list.

It is judged on the texts that landed, before they are typed. Vendors' descriptions are often wrong, so what breaks
them is noted and stops nothing, unless a policy says otherwise.
"""

from collections.abc import Callable, Collection, Iterable, Iterator

from crm_pipeline.contracts.conditions import one_of
from crm_pipeline.contracts.rules import Policies, RowRule
from crm_pipeline.model.casts import cast, is_nothing, is_plain_value
from crm_pipeline.model.names import literal, shown
from crm_pipeline.model.schema import Field

_KINDS = {
    "boolean": "BOOLEAN",
    "integer": "BIGINT",
    "decimal": "DECIMAL(38,12)",
    "double": "DOUBLE",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
}
_NUMBERS = frozenset({"integer", "decimal", "double"})


def vendor_rules(
    fields: Iterable[Field],
    text_of: Callable[[str], str],
    policies: Policies,
    *,
    typed: Collection[str] = (),
) -> tuple[RowRule, ...]:
    """Return the rules that follow from a description.

    Args:
        fields: the fields.
        text_of: returns SQL for the text of a field, NULL where it is empty.
        policies: the user's, by `<connection>.<object>.<field>`.
        typed: fields whose texts are counted anyway if they do not fit their column.
    """
    return tuple(
        policies.applied(rule)
        for field in fields
        if not field.kept_out
        for rule in _of_field(field, text_of(field.name), is_typed=field.name in typed)
    )


def _of_field(field: Field, text: str, *, is_typed: bool) -> Iterator[RowRule]:
    name = shown(field.name)

    def rule(what: str, check: str, broken: str, suspect: str = "") -> RowRule:
        return RowRule(f"{name} {what}", check, (field.name,), broken, "warn", suspect=suspect)

    if not field.nullable:
        yield rule("is empty", "nullable", f"({text} IS NULL)")
    kind = _KINDS.get(field.common_type)
    if kind and not is_typed:
        no_value = is_nothing(text, kind, field.nothing)
        plain = is_plain_value(text, kind, field.form)
        yield rule(
            f"is no {field.common_type}",
            "dtype",
            f"({text} IS NOT NULL AND {cast(text, kind, field.form)} IS NULL AND NOT ({no_value}))",
            f"({text} IS NOT NULL AND NOT ({plain}))" if plain else "",
        )
    digits = field.precision - field.scale
    if field.common_type in _NUMBERS and field.precision and 0 < digits < 38:
        yield rule(
            f"has more than {digits} digits before the point",
            "precision",
            f"(abs(TRY_CAST({text} AS DOUBLE)) >= 1e{digits})",
        )
    allowed = [*dict.fromkeys((*field.values, *(stored for stored, _ in field.options)))]
    if allowed:
        yield rule("is not in the pick list", "isin", _not_listed(field, text, allowed))
    elif field.common_type == "string" and field.length and not field.multiple:
        yield rule(
            f"is longer than {field.length} characters",
            "str_length",
            f"(length({text}) > {field.length})",
        )


def _not_listed(field: Field, text: str, allowed: list[str]) -> str:
    listed = [literal(value) for value in allowed]
    if not field.multiple:
        return f"(NOT ({one_of(text, listed)}))"
    array = f"[{', '.join(listed)}]"
    if field.multiple == ";":
        parts = f"list_transform(string_split({text}, ';'), lambda p: trim(p))"
    else:
        parts = f"CASE WHEN json_valid({text}) THEN json_extract_string({text}, '$[*]') END"
    return f"(NOT list_has_all(list_append({array}, ''), {parts}))"
