"""SQL for what a mapping says about a field's text: chosen values, prefixes, keys of references."""

from crm_pipeline.model.mapping import FieldMap
from crm_pipeline.store.engine import literal


def chosen(text: str, entry: FieldMap) -> str:
    """Return SQL for a field's text after the mapping's choices of values and prefixes."""
    if entry.only:
        return f"CASE WHEN starts_with({text}, {literal(entry.only)}) THEN {text} END"
    if entry.values:
        cases = " ".join(f"WHEN {literal(a)} THEN {literal(b)}" for a, b in entry.values)
        otherwise = literal(entry.otherwise)
        return (
            f"CASE WHEN {text} IS NULL THEN NULL ELSE CASE {text} {cases} ELSE {otherwise} END END"
        )
    return text


def key_of(connection: str, text: str, references: tuple[tuple[str, str], ...]) -> str:
    """Return SQL for our key of the record that an id points to; NULL where none is meant."""
    whens: list[str] = []
    for prefix, obj in references:
        key = f"{literal(f'{connection}:{obj}:')} || {text}"
        if not prefix:
            return f"CASE {' '.join(whens)} ELSE {key} END" if whens else f"({key})"
        whens.append(f"WHEN starts_with({text}, {literal(prefix)}) THEN {key}")
    return f"CASE {' '.join(whens)} END" if whens else "NULL::VARCHAR"
