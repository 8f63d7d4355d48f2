"""Remarks on the objects of a connection, for people: from landing, and from the lists that tables are made of."""

from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.settings import Connection, ObjectSettings
from crm_pipeline.stages.normalized import Doubt, doubted_lists, tables_for
from crm_pipeline.stages.raw import Remark, remarks_of, shrink_cure
from crm_pipeline.store.drift import Register
from crm_pipeline.store.drift.texts import CHANGES_CURE, changes_text
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.looks import ConnectionLooks
from crm_pipeline.store.tables import Tables


def remarks_at(
    landing: Landing, tables: Tables, connection: Connection
) -> dict[str, tuple[Remark, ...]]:
    """Return the remarks on each configured object; none where one of its commits is damaged."""
    doubts = doubted_lists(landing, tables, connection.name)
    return {
        obj.name: (
            *_of_landing(landing, connection.name, obj),
            *(_of_list(connection.name, doubt) for doubt in doubts.get(obj.name, ())),
            *_of_changes(landing, connection.name, obj.name),
        )
        for obj in connection.objects
    }


def held_back_at(looks: ConnectionLooks, connection: Connection) -> dict[str, tuple[Remark, ...]]:
    """Return a remark on each table that is held back, at the first object that feeds it.

    `ops.freshness` has a column for it, so these are no remarks of the published file.
    """
    found: dict[str, tuple[Remark, ...]] = {}
    for table, objects in tables_for(connection, connector(connection.vendor).mapping).items():
        if since := looks.held.get(table):
            text = f"The table {table} has kept its version since {since:%Y-%m-%d %H:%M} UTC: a newer one was refused, or could not be built."
            cure = f"`crm-pipeline refresh {connection.name}` builds it, or says what is wrong."
            first = next(iter(objects))
            found[first] = (*found.get(first, ()), Remark("held_back", text, cure))
    return found


def _of_landing(landing: Landing, connection: str, obj: ObjectSettings) -> list[Remark]:
    try:
        landing.windows(connection, obj.name)
    except CorruptFile:
        return []  # its freshness says so
    try:
        return remarks_of(landing, connection, obj.name, obj)
    except CorruptFile as error:
        return [Remark("damage", error.message, error.cure)]


def _of_list(connection: str, doubt: Doubt) -> Remark:
    return Remark("lists", f"{doubt}.", shrink_cure(connection, doubt.object))


def _of_changes(landing: Landing, connection: str, obj: str) -> list[Remark]:
    try:
        changes = Register(landing.root).open(connection, obj)
    except CorruptFile as error:
        return [Remark("damage", error.message, error.cure)]
    return [Remark("drift", f"{changes_text(changes)}.", CHANGES_CURE)] if changes else []


__all__ = ["held_back_at", "remarks_at"]
