"""The metadata of the verified assets: rows, rates that Dagster plots, and masked samples of each reason."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from crm_pipeline.model.verified_tables import (
    CONTACT_POINTS,
    EMAIL,
    EMAIL_VERDICTS,
    PHONE,
    PHONE_VERDICTS,
)
from crm_pipeline.orchestration.masking import masked_email, masked_phone
from crm_pipeline.stages.verified import Verified

Samples = Mapping[str, Sequence[tuple[str, str, Sequence[str]]]]
_KINDS = {
    EMAIL_VERDICTS.name: (EMAIL,),
    PHONE_VERDICTS.name: (PHONE,),
    CONTACT_POINTS.name: (EMAIL, PHONE),
}
_WORDS = {
    EMAIL: ("undeliverable", "risky", "unknown", "deliverable"),
    PHONE: ("invalid", "risky", "unknown", "valid"),
}
_MASKS = {EMAIL: masked_email, PHONE: masked_phone}


def verified(done: Verified, table: str, samples: Samples) -> dict[str, Any]:
    """Return what a build did with one table; `samples` are values by kind, which are masked here."""
    metadata: dict[str, Any] = {"dagster/row_count": done.rows(table), "changed": done.changed}
    if version := done.versions.get(table):
        metadata["version"] = version.version
    if table == CONTACT_POINTS.name:
        points = done.points_by_connection()
        metadata |= {f"rows_of_{connection}": number for connection, number in points.items()}
    for kind in _KINDS[table]:
        metadata[f"{kind}_values_judged"] = done.judged.get(kind, 0)
        if table == CONTACT_POINTS.name:
            metadata[f"{kind}_points"] = done.points(kind)
            for word in _WORDS[kind]:
                metadata[f"{kind}_share_{word}"] = round(done.share(kind, word), 6)
        elif rows := _sampled(done, kind, samples.get(kind, ())):
            metadata["reasons"] = dg.MetadataValue.md(rows)
    return metadata


def _sampled(done: Verified, kind: str, samples: Sequence[tuple[str, str, Sequence[str]]]) -> str:
    """Return the reasons with how many points have them, and masked values, as a Markdown table."""
    if not samples:
        return ""
    lines = [
        f"| {verdict} | {reason} | {done.by_reason(kind, verdict).get(reason, 0):,} | {', '.join(map(_MASKS[kind], values))} |"
        for verdict, reason, values in samples
    ]
    head = "| verdict | reason | points with both | such as |\n| --- | --- | --- | --- |"
    return "\n".join([head, *lines])
