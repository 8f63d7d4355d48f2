"""Adds fields and texts to records that lists and queries leave out, from other responses.

Queries refuse some fields that lists have; lists and queries truncate rich texts after 500 characters, which
responses with a single record have in full (zoho.com/crm/developer/docs/api/v8/get-records.html).
"""

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote

import msgspec

from crm_pipeline.connectors.zoho import describe, meter, responses
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.connectors.zoho.responses import ResponsePage
from crm_pipeline.model.schema import Schema

# The maximum number of ids of one list is not documented for this version; older pages say 100.
IDS = 100
_TRUNCATED_AT = 500


def chunked(names: Sequence[str], most: int) -> list[tuple[str, ...]]:
    """Return the names of fields in chunks for one request each; every chunk has id and time of change."""
    always = [name for name in (describe.ID, describe.MODIFIED) if name in names]
    rest = [name for name in names if name not in always]
    if not rest:
        return [tuple(always)]
    width = most - len(always)
    return [(*always, *rest[at : at + width]) for at in range(0, len(rest), width)]


class FieldBackfill:
    """Adds missing fields and texts to the records of one module.

    Args:
        api: the account.
        schema: of the module.
        missing: fields that the responses lack and lists have.
    """

    def __init__(self, api: Api, schema: Schema, missing: Sequence[str] = ()) -> None:
        self._api = api
        self._module = schema.object
        self._owner = f"{api.connection.name}.{schema.object}"
        self._rich = describe.rich_texts(schema)
        self._has_converted = describe.CONVERTED in schema.by_name
        modified = [describe.MODIFIED] if describe.MODIFIED in schema.by_name else []
        names = [describe.ID, *modified, *missing]
        self._chunks = chunked(names, api.limit("list_fields")) if missing else []
        self.calls = 0

    def filled(self, page: ResponsePage) -> ResponsePage | None:
        """Return the complete records; None where one of them changed in between."""
        whole: ResponsePage | None = page
        if self._chunks and len(page):
            whole = page.joined([self._listed(names, page.ids) for names in self._chunks])
        return self._with_rich_texts(whole) if whole is not None and self._rich else whole

    def single(self, key: str) -> ResponsePage:
        """Return a single record with all its fields; empty where it was deleted."""
        self.calls += 1
        path = f"/{self._module}/{quote(key, safe='')}"
        return self._api.ask(path, meter.ONE, responses.page_reader(self._owner, is_paged=False))

    def _listed(self, names: Sequence[str], ids: Sequence[str]) -> ResponsePage:
        listed = ResponsePage()
        converted = {"converted": "both"} if self._has_converted else {}
        for at in range(0, len(ids), IDS):
            params = {"fields": ",".join(names), "ids": ",".join(ids[at : at + IDS]), **converted}
            self.calls += 1
            reader = responses.page_reader(self._owner)
            listed.extend(self._api.ask(f"/{self._module}", meter.LIST, reader, params))
        return listed

    def _with_rich_texts(self, page: ResponsePage) -> ResponsePage | None:
        texts = list(page.texts)
        rejected = list(page.rejected)
        is_readable = [True] * len(page)
        for index, (key, modified, text) in enumerate(page.rows()):
            truncated = self._truncated(text)
            if not truncated:
                continue
            whole = self.single(key)
            if whole.rejected:
                is_readable[index] = False
                rejected.append(whole.rejected[0])
                continue
            if not len(whole) or not responses.is_same_instant(whole.modified[0], modified):
                return None
            fields = responses.fields_of(whole.texts[0])
            part = msgspec.json.encode({name: fields[name] for name in truncated if name in fields})
            texts[index] = responses.merged([text, part])
        return replace(page, texts=texts, rejected=rejected).only(is_readable)

    def _truncated(self, text: bytes | memoryview) -> list[str]:
        """Return the names of a record's truncated rich texts."""
        if len(text) < _TRUNCATED_AT:
            return []
        fields = responses.fields_of(text)
        rich = ((name, fields[name]) for name in self._rich if name in fields)
        return [name for name, raw in rich if _is_truncated(raw)]


def _is_truncated(raw: msgspec.Raw) -> bool:
    if len(memoryview(raw)) < _TRUNCATED_AT:
        return False
    try:
        return len(msgspec.json.decode(raw, type=str)) >= _TRUNCATED_AT
    except msgspec.ValidationError:
        return False
