"""The emptied lists that are not believed in the current tables of a connection."""

from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.stages.normalized.emptied import Doubt, doubts_in
from crm_pipeline.store.landing import Landing, acceptance
from crm_pipeline.store.tables import Tables


def doubted_lists(landing: Landing, tables: Tables, connection: str) -> dict[str, list[Doubt]]:
    """Return the doubts by object, without those that a person has accepted since the tables were built."""
    by_object: dict[str, list[Doubt]] = {}
    for name in sorted(tables.current().tables):
        if name.startswith(f"normalized/{connection}/"):
            for doubt in _doubts(tables, name):
                folder = landing.folder(connection, doubt.object)
                if doubt.window_id not in acceptance.accepted(folder):
                    by_object.setdefault(doubt.object, []).append(doubt)
    return by_object


def _doubts(tables: Tables, name: str) -> tuple[Doubt, ...]:
    try:
        version = tables.version(name)
    except CorruptFile:
        return ()  # the next build replaces it, and reports it
    return doubts_in(version) if version else ()
