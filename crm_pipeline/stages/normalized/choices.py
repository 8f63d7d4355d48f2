"""SQL for the choices of a mapping: where a field's text comes from, its replacement, and the record it refers to."""

import json
from dataclasses import replace

from crm_pipeline.model.casts import cast, is_nothing
from crm_pipeline.model.mapping import MAIN_CURRENCY, FieldMap, Pick
from crm_pipeline.model.money import divided, trillionths
from crm_pipeline.model.names import literal
from crm_pipeline.model.numbers import NUMBER_FORMATS, is_number, number
from crm_pipeline.model.table import MONEY, PRECISE
from crm_pipeline.stages.normalized.feed import Feed
from crm_pipeline.stages.normalized.lists import listed_texts, picked
from crm_pipeline.stages.normalized.reading import raw

_NO = "'false', '0', '0.0', 'no'"


def chosen(feed: Feed, entry: FieldMap) -> str:
    """Return SQL for a field's text after the mapping's choices."""
    if entry.any_of:
        return _any_of(feed, entry)
    text = (
        _if_when(feed, entry, picked(entry, _filled(feed, entry.pick)))
        if entry.pick
        else _text(feed, entry)
    )
    if entry.only:
        text = f"CASE WHEN starts_with({text}, {literal(entry.only)}) THEN {text} END"
    if entry.labelled:
        text = _label(feed, entry, text)
    values = tuple(feed.tables.items()) if entry.is_object else entry.values
    if values or entry.otherwise is not None:
        cases = " ".join(f"WHEN {literal(a)} THEN {literal(b)}" for a, b in values)
        otherwise = text if entry.is_object else literal(entry.otherwise)
        replaced = f"CASE {text} {cases} ELSE {otherwise} END" if cases else otherwise
        text = f"CASE WHEN {text} IS NOT NULL THEN {replaced} END"
    return text if entry.empty is None else f"coalesce({text}, {literal(entry.empty)})"


def typed(feed: Feed, entry: FieldMap, kind: str) -> str:
    """Return SQL for a field's value in its column's type, NULL where it does not fit."""
    if entry.listed:
        return listed_texts(entry)
    text = chosen(feed, entry)
    if is_number(kind):
        text = _plain_number(feed, entry.source, text)
    if entry.divided_by:
        value = _divided(feed, entry, cast(text, MONEY))
    elif entry.factor == 1:
        value = cast(text, kind, feed.form(entry), feed.account.zone)
    else:
        made = f"round({cast(text, 'DOUBLE')} * {entry.factor!r}, 9)"
        value = f"CASE WHEN isfinite({made}) THEN TRY_CAST({made} AS {kind}) END"
    nothing = feed.nothing(entry)
    if not nothing:
        return value
    return f"CASE WHEN NOT ({is_nothing(chosen(feed, entry), 'VARCHAR', nothing)}) THEN {value} END"


def _divided(feed: Feed, entry: FieldMap, amount: str) -> str:
    """Return SQL for an amount divided by the rate in its record."""
    if not feed.present((entry.divided_by,)):
        return f"NULL::{MONEY}"
    return divided(amount, trillionths(cast(raw(entry.divided_by), PRECISE)))


def _plain_number(feed: Feed, source: str, text: str) -> str:
    """Return SQL for a number written plainly; NULL where the format of before would give another number."""
    if source in feed.number_formats:
        return NUMBER_FORMATS[feed.number_formats[source]].plain(text)
    if source not in feed.doubted_formats:
        return text
    before = NUMBER_FORMATS[feed.doubted_formats[source]]
    earlier, now = (number(each, "DECIMAL(38,12)") for each in (before.plain(text), text))
    return f"CASE WHEN {before.fits(text)} AND {earlier} IS DISTINCT FROM {now} THEN NULL ELSE {text} END"


def key_of(connection: str, feed: Feed, entry: FieldMap) -> str:
    """Return SQL for our key of the record that an id refers to; NULL where it refers to none."""
    text = chosen(feed, entry)
    if entry.object_in:
        named = raw(entry.object_in) if feed.present((entry.object_in,)) else "NULL::VARCHAR"
        return f"({literal(f'{connection}:')} || {named} || ':' || {text})"
    whens: list[str] = []
    for prefix, obj in feed.references(entry):
        key = f"{literal(f'{connection}:{obj}:')} || {text}"
        if not prefix:
            return f"CASE {' '.join(whens)} ELSE {key} END" if whens else f"({key})"
        whens.append(f"WHEN starts_with({text}, {literal(prefix)}) THEN {key}")
    return f"CASE {' '.join(whens)} END" if whens else "NULL::VARCHAR"


def _any_of(feed: Feed, entry: FieldMap) -> str:
    """Return SQL for whether any of several texts is set to something other than no."""
    texts = [raw(name) for name in feed.present((entry.source, *entry.any_of))]
    is_yes = " OR ".join(f"coalesce(lower({text}) NOT IN ({_NO}), false)" for text in texts)
    is_set = " OR ".join(f"{text} IS NOT NULL" for text in texts)
    otherwise = literal(entry.otherwise)
    return f"CASE WHEN {is_yes} THEN 'true' WHEN {is_set} THEN 'false' ELSE {otherwise} END"


def _filled(feed: Feed, pick: Pick) -> Pick:
    """Return a pick with the account's main currency filled in; without it no element is preferred."""
    currency = feed.account.currency
    preferred = ((key, text.replace(MAIN_CURRENCY, currency)) for key, text in pick.prefer)
    return replace(pick, prefer=tuple((key, text) for key, text in preferred if text))


def _label(feed: Feed, entry: FieldMap, text: str) -> str:
    """Return SQL for the label of an option; a text that is no option stays as it is."""
    field = feed.field(entry.source)
    if field is None or not field.options:
        return text
    labels = literal(json.dumps(dict(field.options), ensure_ascii=False))
    return f"coalesce(({labels}::JSON::MAP(VARCHAR, VARCHAR))[{text}], {text})"


def _text(feed: Feed, entry: FieldMap) -> str:
    """Return SQL for a field's text; records read before the field was renamed have it under the former name."""
    own = raw(entry.source)
    if entry.needs_all and len(feed.present(entry.joined)) < len(entry.joined):
        return "NULL::VARCHAR"
    joined = "".join(f", {raw(name)}" for name in feed.present(entry.joined))
    if joined:
        needed = feed.present(entry.joined) if entry.needs_all else ()
        filled = " AND ".join(f"{text} IS NOT NULL" for text in (own, *map(raw, needed)))
        own = f"CASE WHEN {filled} THEN concat_ws(' ', {own}{joined}) END"
    own = _if_when(feed, entry, _first([own, *map(raw, feed.gone(entry))]))
    text = _first([own, *map(raw, feed.present(entry.fallback))])
    if not entry.until:
        return text
    return f"nullif(trim(split_part({text}, {literal(entry.until)}, 1)), '')"


def _first(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"coalesce({', '.join(texts)})"


def _if_when(feed: Feed, entry: FieldMap, text: str) -> str:
    """Return SQL for a text, NULL where the mapping's condition on another source does not hold."""
    if not entry.when:
        return text
    other, wanted = entry.when
    condition = f"{raw(other)} = {literal(wanted)}" if feed.present((other,)) else "false"
    return f"CASE WHEN {condition} THEN {text} END"
