"""A person's acceptance of one read or of one schema that is not believed by itself.

An acceptance is a file of its own, so that nothing is rewritten: `windows/<id>.accepted` for a read;
`schemas/<fingerprint>.refused` for a schema that is not believed yet, and `.accepted` once a person has accepted
it. It holds for that read or schema only. A schema that comes back after a read with another one has to be
accepted again.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from crm_pipeline.kernel.clock import format_instant, parse_instant
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.store import files

_ACCEPTED, _REFUSED = ".accepted", ".refused"


@dataclass(frozen=True)
class Refused:
    """A schema of an object that lost too many fields to be believed.

    Attributes:
        fingerprint: of the schema.
        lost: number of the earlier schema's fields that it lacks.
        fields: number of fields of the earlier schema.
    """

    fingerprint: str
    lost: int
    fields: int
    refused_at: datetime


def accepted(folder: Path) -> frozenset[str]:
    """Return the ids of the accepted windows in an object's landing folder."""
    return frozenset(path.stem for path in (folder / "windows").glob(f"[!.]*{_ACCEPTED}"))


def accept_window(folder: Path, window_id: str, at: datetime) -> None:
    """Write the acceptance of a window."""
    files.write_json(
        folder / "windows" / f"{window_id}{_ACCEPTED}", {"accepted_at": format_instant(at)}
    )


def is_schema_accepted(folder: Path, fingerprint: str, since: datetime) -> bool:
    """Say whether a schema was accepted after the last read with another one, which was at `since`."""
    try:
        record = files.read_json(folder / "schemas" / f"{fingerprint}{_ACCEPTED}")
    except FileNotFoundError:
        return False
    return parse_instant(record["accepted_at"]) > since


def accept_schema(folder: Path, fingerprint: str, at: datetime) -> None:
    """Write the acceptance of a schema."""
    files.write_json(
        folder / "schemas" / f"{fingerprint}{_ACCEPTED}", {"accepted_at": format_instant(at)}
    )


def refuse_schema(folder: Path, refused: Refused) -> None:
    """Note that a schema was not believed; the last note of several counts."""
    record = {**asdict(refused), "refused_at": format_instant(refused.refused_at)}
    files.write_json(folder / "schemas" / f"{refused.fingerprint}{_REFUSED}", record)


def refused_from(record: Mapping[str, Any]) -> Refused:
    """Return the refusal that `refuse_schema` wrote."""
    return Refused(**{**record, "refused_at": parse_instant(record["refused_at"])})


def refused_schema(folder: Path, since: datetime) -> Refused | None:
    """Return the schema that was refused last, if nothing was read since and nobody has accepted it."""
    pending = []
    for path in (folder / "schemas").glob(f"[!.]*{_REFUSED}"):
        refused = _refused(path)
        is_accepted = is_schema_accepted(folder, refused.fingerprint, since)
        if refused.refused_at > since and not is_accepted:
            pending.append(refused)
    return max(pending, key=lambda refused: refused.refused_at, default=None)


def _refused(path: Path) -> Refused:
    cure = "Remove it: the next read looks at the description anew."
    record = files.read_json(path, cure=cure)
    try:
        return refused_from(record)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptFile(f"{path} is damaged: {error!r}.", cure=cure) from error
