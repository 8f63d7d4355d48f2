"""What lists and queries leave out of records, from other answers.

Queries refuse some fields, which lists have; lists and queries cut rich texts after 500 characters, which
the answer with a single record has whole (zoho.com/crm/developer/docs/api/v8/get-records.html).
"""

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote

import msgspec

from crm_pipeline.connectors.zoho import describe, meter, responses
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.connectors.zoho.responses import ResponsePage
from crm_pipeline.model.schema import Schema

# How many ids one list takes is not documented for this version; older pages say 100.
IDS = 100
_CUT_AT = 500


def chunked(names: Sequence[str], most: int) -> list[tuple[str, ...]]:
    """Cut the names of fields into lists that one answer takes, each with id and stamp."""
    always = [name for name in (describe.ID, describe.STAMP) if name in names]
    rest = [name for name in names if name not in always]
    if not rest:
        return [tuple(always)]
    width = most - len(always)
    return [(*always, *rest[at : at + width]) for at in range(0, len(rest), width)]


class Completion:
    """Completes the records of one module.

    Args:
        api: the account.
        schema: the module's.
        beside: fields that the answers lack and lists have.
    """

    def __init__(self, api: Api, schema: Schema, beside: Sequence[str] = ()) -> None:
        self._api = api
        self._module = schema.object
        self._owner = f"{api.connection.name}.{schema.object}"
        self._rich = describe.rich_texts(schema)
        self._is_converted = describe.CONVERTED in schema.by_name
        stamp = [describe.STAMP] if describe.STAMP in schema.by_name else []
        self._chunks = (
            chunked([describe.ID, *stamp, *beside], api.limit("list_fields")) if beside else []
        )
        self.calls = 0

    def completed(self, page: ResponsePage) -> ResponsePage | None:
        """Return the records whole; None where one of them is another one by now."""
        found: ResponsePage | None = page
        if self._chunks and len(page):
            found = page.joined([self._listed(names, page.ids) for names in self._chunks])
        return self._with_rich_texts(found) if found is not None and self._rich else found

    def single(self, key: str) -> ResponsePage:
        """Return a record by itself, with all that the vendor tells; empty where it is gone."""
        self.calls += 1
        path = f"/{self._module}/{quote(key, safe='')}"
        return self._api.ask(path, meter.ONE, responses.reading(self._owner, is_paged=False))

    def _listed(self, names: Sequence[str], ids: Sequence[str]) -> ResponsePage:
        found = ResponsePage()
        converted = {"converted": "both"} if self._is_converted else {}
        for at in range(0, len(ids), IDS):
            params = {"fields": ",".join(names), "ids": ",".join(ids[at : at + IDS]), **converted}
            self.calls += 1
            reader = responses.reading(self._owner)
            found.add(self._api.ask(f"/{self._module}", meter.LIST, reader, params))
        return found

    def _with_rich_texts(self, page: ResponsePage) -> ResponsePage | None:
        texts = list(page.texts)
        rejected = list(page.rejected)
        is_readable = [True] * len(page)
        for place, (key, stamp, text) in enumerate(page.rows()):
            cut = self._cut(text)
            if not cut:
                continue
            whole = self.single(key)
            if whole.rejected:
                is_readable[place] = False
                rejected.append(whole.rejected[0])
                continue
            if not len(whole) or not responses.is_same(whole.stamps[0], stamp):
                return None
            has = responses.fields_of(whole.texts[0])
            part = msgspec.json.encode({name: has[name] for name in cut if name in has})
            texts[place] = responses.merged([text, part])
        return replace(page, texts=texts, rejected=rejected).only(is_readable)

    def _cut(self, text: bytes | memoryview) -> list[str]:
        """Return the rich texts of a record that were cut."""
        if len(text) < _CUT_AT:
            return []
        has = responses.fields_of(text)
        found = ((name, has[name]) for name in self._rich if name in has)
        return [name for name, raw in found if _is_cut(raw)]


def _is_cut(raw: msgspec.Raw) -> bool:
    if len(memoryview(raw)) < _CUT_AT:
        return False
    try:
        return len(msgspec.json.decode(raw, type=str)) >= _CUT_AT
    except msgspec.ValidationError:
        return False
