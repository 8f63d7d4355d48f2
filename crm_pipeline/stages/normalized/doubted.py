"""The emptied lists that the current tables of a connection do not believe."""

from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.stages.normalized.emptied import Doubt, doubts_in
from crm_pipeline.store.landing import Landing, acceptance
from crm_pipeline.store.tables import Tables


def doubted_lists(landing: Landing, tables: Tables, connection: str) -> dict[str, list[Doubt]]:
    """Return them by object; what a person has accepted since the tables were built is left out."""
    found: dict[str, list[Doubt]] = {}
    for name in sorted(tables.current().tables):
        if name.startswith(f"normalized/{connection}/"):
            for doubt in _doubts(tables, name):
                folder = landing.folder(connection, doubt.object)
                if doubt.window_id not in acceptance.accepted(folder):
                    found.setdefault(doubt.object, []).append(doubt)
    return found


def _doubts(tables: Tables, name: str) -> tuple[Doubt, ...]:
    try:
        version = tables.version(name)
    except CorruptFile:
        return ()  # the next build replaces it, and says so
    return doubts_in(version) if version else ()
