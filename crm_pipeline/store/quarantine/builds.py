"""The rows that the last builds of tables left out: `normalized/<stage>-<table>-<inputs>.json` and its Parquet files."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from crm_pipeline.kernel.clock import parse_instant
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.kernel.identity import from_path_name
from crm_pipeline.store import files
from crm_pipeline.store.quarantine import rows
from crm_pipeline.store.quarantine.quarantined import NAMED, Quarantined, Stage

_BUILDS = "normalized"
_STAGES: tuple[Stage, ...] = ("normalized", "contract")
_log = structlog.get_logger("crm_pipeline.store")


@dataclass(frozen=True)
class BuildFile:
    """The record of the rows that the last build of a table left out."""

    stage: Stage
    table: str
    path: Path
    record: dict[str, Any]

    @property
    def parts(self) -> list[Path]:
        """Its Parquet files."""
        return [self.path.with_name(name) for name in self.record["files"]]

    @property
    def written_at(self) -> datetime:
        """When it was built."""
        return parse_instant(self.record["quarantined_at"])


@dataclass
class _Count:
    """Rows of one reason that are counted one after the other."""

    records: int = 0
    since: datetime | None = None
    ids: list[str] = field(default_factory=list)

    def add(self, source_id: str, since: datetime | None) -> None:
        self.records += 1
        if since is not None:
            self.since = min(self.since or since, since)
        if source_id and len(self.ids) < NAMED:
            self.ids.append(source_id)


def build_files(folder: Path) -> Iterator[BuildFile]:
    """Yield the records of what the last builds left out; one that is damaged is left out, the next build writes it."""
    for path in sorted((folder / _BUILDS).glob("[!.]*.json")):
        stage, _, rest = path.stem.partition("-")
        known = next((name for name in _STAGES if name == stage), None)
        try:
            record = files.read_json(path)
            if known is not None:
                table = from_path_name(rest.rpartition("-")[0])
                yield BuildFile(known, table, path, record)
        except CorruptFile as error:
            _log.warning("rows that a build left out are not listed", reason=str(error))
        except FileNotFoundError:  # a build has just replaced it
            continue


def sets_of_build(
    connection: str, obj: str, build: BuildFile, is_dropped: frozenset[str]
) -> Iterator[Quarantined]:
    """Yield the sets of one build; its record has the numbers where a file cannot be read."""
    counts: dict[tuple[str, bool], _Count] = {}
    for path in build.parts:
        for batch in rows.of_build(build.stage, path, with_records=False):
            names = ("_reason", "_source_id", "_since", "_digest")
            for reason, source_id, since, digest in zip(
                *(batch.column(name).to_pylist() for name in names), strict=True
            ):
                counts.setdefault((reason, digest in is_dropped), _Count()).add(source_id, since)
    for reason, records in build.record["reasons"].items():
        found = sum(count.records for (known, _), count in counts.items() if known == reason)
        counts.setdefault((reason, False), _Count()).records += max(0, records - found)
    for (reason, dropped_ones), count in counts.items():
        if count.records:
            yield Quarantined(
                connection,
                obj,
                build.table,
                build.stage,
                reason,
                count.records,
                count.since or build.written_at,
                build.written_at,
                build.path.parent,
                tuple(count.ids),
                dropped_ones,
            )
