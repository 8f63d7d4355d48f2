"""The files of operations as a store of personal data: they hold no records, but a text may quote a value."""

from contextlib import closing
from pathlib import Path

import duckdb

from crm_pipeline.model.names import quoted
from crm_pipeline.store.erasing.redaction import Redaction
from crm_pipeline.store.erasing.subject import Erased, Subject
from crm_pipeline.store.tables.ops_files import OpsFiles

_COLUMNS = """
SELECT schema_name, table_name, column_name FROM duckdb_columns()
WHERE NOT internal AND data_type LIKE '%VARCHAR%'
"""


class OpsStore:
    """All files of operations. A file that quotes a value is removed: the next refresh builds it from erased stores.

    Args:
        data: the data folder.
    """

    name = "operations"
    covers = ("ops.duckdb",)
    subject_keys = ("e-mail addresses in any text",)

    def __init__(self, data: Path) -> None:
        self._files = OpsFiles(data)

    def erase(self, subject: Subject, *, apply: bool = False) -> Erased:
        """Return what would go; with `apply`, erase it; see `store.erasing.Store`."""
        done = Erased(self.name)
        redaction = Redaction(subject.addresses)
        if not redaction:
            return done
        for path in self._files.kept():
            values = _values(path, redaction)
            done.add(path, 0, values)
            if apply and values:
                if self._files.current() == path:
                    self._files.link.unlink(missing_ok=True)
                path.unlink(missing_ok=True)
        return done


def _values(path: Path, redaction: Redaction) -> int:
    """Return in how many rows a text quotes a value; one for a file that cannot be read, which is removed as well."""
    try:
        with closing(duckdb.connect(str(path), read_only=True)) as file:
            return sum(
                file.execute(
                    f"SELECT count(*) FROM {quoted(schema)}.{quoted(table)} "
                    f"WHERE regexp_matches(CAST({quoted(column)} AS VARCHAR), ?)",
                    [redaction.candidates],
                ).fetchall()[0][0]
                for schema, table, column in file.execute(_COLUMNS).fetchall()
            )
    except FileNotFoundError:
        return 0
    except duckdb.Error:
        return 1
