"""Remarks on the state of an object that a person has to know, read from landing alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from shlex import quote

from crm_pipeline.connectors.vendor_clock import duration
from crm_pipeline.kernel.clock import format_instant
from crm_pipeline.kernel.identity import path_name
from crm_pipeline.model.schema import Schema
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw.description import fields_cure, fields_text
from crm_pipeline.stages.raw.snapshot import SnapshotHistory
from crm_pipeline.stages.raw.task import set_back_text
from crm_pipeline.store.landing import Landing, acceptance
from crm_pipeline.store.landing.acceptance import Refused
from crm_pipeline.store.landing.manifest import Shrink, WindowCommit
from crm_pipeline.store.landing.outstanding import Outstanding, outstanding
from crm_pipeline.store.landing.rejects import quarantined_schemas
from crm_pipeline.store.quarantine import Quarantine, Quarantined

_UNNOTICED = timedelta(seconds=60)


@dataclass(frozen=True)
class Remark:
    """A remark on an object.

    Attributes:
        kind: one of `watermark`, `shrink`, `unnamed`, `fields`, `quarantine`, `kept_out`, `drift`, `held_back`.
        text: the state of the object.
        cure: what to do about it.
    """

    kind: str
    text: str
    cure: str

    def __str__(self) -> str:
        return f"{self.text} {self.cure}"


def remarks_of(
    landing: Landing, connection: str, obj: str, settings: ObjectSettings | None = None
) -> list[Remark]:
    """Return the remarks on an object; none where all is well.

    Args:
        landing: where the object landed.
        connection: its connection.
        obj: its name.
        settings: the object as configured; without them nothing is said about fields that are kept out.
    """
    return [
        *(_of_kept_out(landing, connection, settings) if settings else ()),
        *_of_watermark(landing, connection, obj),
        *_of_shrink(landing, connection, obj),
        *_of_unnamed(landing, connection, obj),
        *_of_fields(landing, connection, obj),
        *_of_quarantine(landing, connection, obj),
        *_of_builds(landing, connection, obj),
    ]


def shrink_text(shrink: Shrink) -> str:
    """Return a sentence that says what a whole read lacks."""
    part = f"the list '{shrink.part}'" if shrink.part else "the read"
    if shrink.is_empty and shrink.missing == shrink.before:
        text = f"{part} was empty, and there were {shrink.before:,} records"
    else:
        text = f"{part} lacks {shrink.missing:,} of {shrink.before:,} records"
    if shrink.rows > shrink.missing:
        text = f"{text} ({shrink.rows:,} are missing in all)"
    return f"{text}: that is not believed, they stay alive"


def doubted_reads(landing: Landing, connection: str, obj: str) -> tuple[WindowCommit, ...]:
    """Return the whole reads since the last believed one that are not believed, in order."""
    return SnapshotHistory.of(landing.windows(connection, obj)).doubted


def doubted_ids(landing: Landing, connection: str, obj: str) -> list[str]:
    """Return the ids of the records that the last such read lacks.

    Raises:
        CorruptFile: what landed since the last believed read is damaged.
    """
    history = SnapshotHistory.of(landing.windows(connection, obj))
    landing.check(history.batches)
    return history.missing_ids(landing)


def refused_description(landing: Landing, connection: str, obj: str) -> Refused | None:
    """Return the description of an object that is not believed, if nothing was read since."""
    commits = landing.object_reads(connection, obj)
    if not commits:
        return None
    return acceptance.refused_schema(landing.folder(connection, obj), commits[-1].committed_at)


def _of_shrink(landing: Landing, connection: str, obj: str) -> list[Remark]:
    doubted = doubted_reads(landing, connection, obj)
    if not doubted:
        return []
    first, last = doubted[0], doubted[-1]
    assert last.shrink is not None
    return [
        Remark(
            "shrink",
            f"{shrink_text(last.shrink)} since {first.committed_at:%Y-%m-%d %H:%M} UTC.",
            shrink_cure(connection, obj),
        )
    ]


def _of_unnamed(landing: Landing, connection: str, obj: str) -> list[Remark]:
    good = SnapshotHistory.of(landing.windows(connection, obj)).good
    if good is None or not good.unproven:
        return []
    folder = landing.quarantine(connection, obj)
    return [
        Remark(
            "unnamed",
            f"{good.unproven:,} records of the read of {good.committed_at:%Y-%m-%d %H:%M} UTC cannot be read, nor can "
            "their ids: so no record that the read lacks counts as deleted.",
            f"They are in {folder}, with the reason and their bytes; correct them in the CRM. A later version of the "
            "pipeline that can read them does so by itself.",
        )
    ]


def _of_fields(landing: Landing, connection: str, obj: str) -> list[Remark]:
    refused = refused_description(landing, connection, obj)
    if refused is None:
        return []
    since = f"{refused.refused_at:%Y-%m-%d %H:%M} UTC"
    return [
        Remark("fields", f"{fields_text(refused)} ({since}).", fields_cure(connection, obj)),
    ]


def _of_kept_out(landing: Landing, connection: str, obj: ObjectSettings) -> list[Remark]:
    """Return a remark on values that landed before their fields were kept out."""
    if not obj.keeps_out:
        return []
    fingerprints = {batch.schema_fingerprint for batch in landing.batches(connection, obj.name)}
    fingerprints |= quarantined_schemas(landing.quarantine(connection, obj.name))
    schemas = [landing.schema(connection, obj.name, one) for one in sorted(fingerprints)]
    stored = {
        name
        for schema in schemas
        for name in (*obj.exclude, *obj.hash)
        if _is_stored(schema, name, is_hashed=name in obj.hash)
    }
    if not stored:
        return []
    names = ", ".join(sorted(stored))
    folder = f"data/landing/{path_name(connection)}/{path_name(obj.name)}"
    return [
        Remark(
            "kept_out",
            f"values of {names} that landed before connections.yaml kept them out are still stored.",
            f"Move {folder} and its quarantine away, and read the object again: `crm-pipeline backfill {connection} "
            f"--object {quote(obj.name)}`.",
        )
    ]


def _is_stored(schema: Schema, name: str, *, is_hashed: bool) -> bool:
    folded = name.casefold()
    named = [field for field in schema.fields if field.name.casefold() == folded]
    return any(not (is_hashed and field.kept_out == "hashed") for field in named)


def _of_quarantine(landing: Landing, connection: str, obj: str) -> list[Remark]:
    missing = outstanding(landing, connection, obj)
    if not missing.records:
        return []
    return [
        Remark("quarantine", f"{outstanding_text(missing)}.", outstanding_cure(connection, obj))
    ]


def _of_builds(landing: Landing, connection: str, obj: str) -> list[Remark]:
    """Return a remark for each table that is built without some of the object's records."""
    waiting: dict[str, list[Quarantined]] = {}
    for each in Quarantine(landing).of(connection, obj):
        if each.table and not each.is_dropped:
            waiting.setdefault(each.table, []).append(each)
    cure = (
        f"`crm-pipeline quarantine list {connection} --object {quote(obj)}` lists them, and each with its cure is shown by "
        "`quarantine explain`."
    )
    return [
        Remark("quarantine", f"{left_out_text(table, sets)}.", cure)
        for table, sets in sorted(waiting.items())
    ]


def left_out_text(table: str, sets: Sequence[Quarantined]) -> str:
    """Return a sentence that says how many landed records a table is built without."""
    count = sum(each.records for each in sets)
    records = "1 landed record is" if count == 1 else f"{count:,} landed records are"
    reasons = "; ".join(f"{each.reason}: {each.records:,}" for each in sets)
    since = min(each.since for each in sets)
    return f"{records} left out of {table} since {since:%Y-%m-%d %H:%M} UTC ({reasons})"


def outstanding_text(missing: Outstanding) -> str:
    """Return a sentence that says how many records are missing because they could not be read."""
    since = f" since {missing.since:%Y-%m-%d %H:%M} UTC" if missing.since else ""
    records = "1 record is" if missing.records == 1 else f"{missing.records:,} records are"
    reasons = "; ".join(f"{reason}: {count:,}" for reason, count in missing.reasons.items())
    return f"{records} missing{since}, as they cannot be read ({reasons})"


def outstanding_cure(connection: str, obj: str) -> str:
    """Return what to do about records that cannot be read."""
    again = f"crm-pipeline backfill {connection} --object {quote(obj)}"
    return (
        f"data/quarantine/{path_name(connection)}/{path_name(obj)} has them as received. Correct them in the CRM: the "
        f"next refresh reads them. If they are right in the CRM and were spoilt on the way, read them again with "
        f"`{again}`. A later version of the pipeline that can read them does so by itself. `crm-pipeline quarantine` "
        "explains each, and drops those that nobody needs."
    )


def shrink_cure(connection: str, obj: str) -> str:
    """Return what to do about a read that is not believed."""
    return (
        f"See whether the login still sees all of them (`crm-pipeline check {connection}`). If they really are "
        f"deleted: `crm-pipeline accept-shrink {connection} {obj}`."
    )


def _of_watermark(landing: Landing, connection: str, obj: str) -> list[Remark]:
    edge, now = landing.edge(connection, obj), landing.clock.now()
    if edge.is_set_back:
        return [Remark("watermark", set_back_text(edge), "The next refresh does it by itself.")]
    if edge.at is not None and edge.at > now + _UNNOTICED:
        ahead = duration((edge.at - now).total_seconds())
        return [
            Remark(
                "watermark",
                f"read up to {format_instant(edge.at)}, which is {ahead} in the future.",
                "Set this machine's clock right (NTP); if it is, the next refresh sets the watermark back and "
                f"reads {ahead} again.",
            )
        ]
    return []
