"""The keys of lists and of their members, and the responses that hold them.

A member has no id of its own: that of its list and that of the record are its key, and the connector adds the list to it.
Source: https://developers.hubspot.com/docs/guides/api/crm/lists/overview
"""

import msgspec
import pyarrow as pa

from crm_pipeline.connectors.hubspot.catalog import LIST_MEMBERS, LISTS
from crm_pipeline.connectors.hubspot.keys import HubSpotKeys, Paging, is_number
from crm_pipeline.connectors.json_keys import keys_of
from crm_pipeline.connectors.record_page import NO_KEY, RecordPage, RecordReader
from crm_pipeline.model.schema import Schema
from crm_pipeline.store.landing.manifest import Shape
from crm_pipeline.wire.decoding import Count


class ListKey(msgspec.Struct):
    """The parts of a list that give its keys, and those that reading its members needs.

    Attributes:
        additionalProperties: texts; the size among them may lag behind.
    """

    listId: str | int  # noqa: N815 - the vendor's name
    objectTypeId: str  # noqa: N815 - the vendor's name
    updatedAt: str | None = None  # noqa: N815 - the vendor's name
    deletedAt: str | None = None  # noqa: N815 - the vendor's name
    additionalProperties: dict[str, str | int | None] | None = None  # noqa: N815 - the vendor's name

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.listId)

    @property
    def size(self) -> int:
        """The number of its members, as a search says it; 0 where it does not."""
        text = str((self.additionalProperties or {}).get("hs_list_size") or "0")
        return int(text) if is_number(text) else 0


class MemberKey(msgspec.Struct):
    """The parts of a member that give its keys; those of the list are missing in a response."""

    recordId: str | int  # noqa: N815 - the vendor's name
    membershipTimestamp: str | None = None  # noqa: N815 - the vendor's name
    listId: str = ""  # noqa: N815 - ours, named as in lists

    @property
    def id(self) -> str:
        """The key of the member; see `member_id`."""
        return member_id(self.listId, str(self.recordId))


class ListsEnvelope(msgspec.Struct):
    """A page of a search of lists, around the lists."""

    lists: list[msgspec.Raw]
    total: Count | None = None
    offset: Count | None = None
    hasMore: bool = False  # noqa: N815 - the vendor's name


class MembersEnvelope(msgspec.Struct):
    """A page of the members of a list, around the members."""

    results: list[msgspec.Raw]
    total: Count | None = None
    paging: Paging | None = None


ListPage = RecordPage[ListsEnvelope, ListKey]
MemberPage = RecordPage[MembersEnvelope, MemberKey]
_NEEDED = {
    LISTS: frozenset({"listId", "objectTypeId", "updatedAt", "deletedAt", "hs_list_size"}),
    LIST_MEMBERS: frozenset({"listId", "recordId", "membershipTimestamp"}),
}
_LISTS = RecordReader(
    ListsEnvelope,
    ListKey,
    list_name="lists",
    id_name="listId",
    id_of=lambda key: key.id,
    modified_of=lambda key: key.deletedAt or key.updatedAt,
)
_MEMBERS = RecordReader(
    MembersEnvelope,
    MemberKey,
    list_name="results",
    id_name="recordId",
    id_of=lambda key: key.id,
    modified_of=lambda key: key.membershipTimestamp,
)


def member_id(list_id: str, record_id: str) -> str:
    """Return the key of a member, from the ids of its list and of the record."""
    return f"{list_id}:{record_id}"


def lists_page(body: bytes, owner: str) -> ListPage:
    """Return the lists of a response.

    Raises:
        MalformedResponse: the response is not of the documented form, apart from single lists.
    """
    page = _LISTS.read(body, owner=owner, what="an answer with lists of HubSpot")
    ids = [key.id for key in page.keys]
    _refuse(page, [not is_number(one) for one in ids], ids)
    return page


def members_page(body: bytes, owner: str) -> MemberPage:
    """Return the members of a response.

    Raises:
        MalformedResponse: the response is not of the documented form, apart from single members.
    """
    page = _MEMBERS.read(body, owner=owner, what="an answer with members of a list of HubSpot")
    is_bad = [not is_number(str(key.recordId)) for key in page.keys]
    # Without the id of the list it is unknown which member it is.
    _refuse(page, is_bad, [""] * len(page.keys))
    return page


def _refuse(page: ListPage | MemberPage, is_bad: list[bool], ids: list[str]) -> None:
    if any(is_bad):
        page.instants = page.instants.filter(pa.array([not bad for bad in is_bad], pa.bool_()))
        page.set_aside(is_bad, NO_KEY, ids)


class ObjectKeys(HubSpotKeys):
    """Implements `connectors.base.RecordKeys` for all objects."""

    def needed(self, obj: str) -> frozenset[str]:
        """Return the names of the fields that reading records needs."""
        return _NEEDED[obj] if obj in _NEEDED else super().needed(obj)

    def of(
        self,
        obj: str,
        schema: Schema,
        raw: pa.RecordBatch,
        *,
        shape: Shape,
        route: str,
        origin: str | None,
        deleted: pa.Array | None,
    ) -> pa.RecordBatch:
        """Return the key columns of records."""
        if obj == LISTS:
            return keys_of(
                raw,
                lambda body: lists_page(body, obj),
                list_name="lists",
                id_of=lambda key: key.id,
                deleted_of=lambda key, _: key.deletedAt is not None,
            )
        if obj == LIST_MEMBERS:
            return keys_of(
                raw,
                lambda body: _stored_members(body, obj),
                list_name="results",
                id_of=lambda key: key.id,
                deleted_of=lambda *_: False,
            )
        return super().of(
            obj, schema, raw, shape=shape, route=route, origin=origin, deleted=deleted
        )


def _stored_members(body: bytes, owner: str) -> MemberPage:
    page = members_page(body, owner)
    _refuse(page, [not is_number(key.listId) for key in page.keys], [""] * len(page.keys))
    return page
