"""What a person has said about one read or one description: that it is to be believed.

A word of a person is a file of its own beside what it is about, so that nothing is rewritten:
`windows/<id>.accepted`; `schemas/<fingerprint>.refused` for a description that nobody believes yet, and
`.accepted` once somebody does. It is about that one read or description and about no later one: a description
that comes back after another one was read with has to be believed anew.
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
    """A description of an object that lost too many fields to be believed.

    Attributes:
        fingerprint: of the schema.
        lost: how many of the fields of before it does not have.
        fields: how many there were before.
    """

    fingerprint: str
    lost: int
    fields: int
    refused_at: datetime


def accepted(folder: Path) -> frozenset[str]:
    """Return the ids of the windows that were accepted, from an object's landing folder."""
    return frozenset(path.stem for path in (folder / "windows").glob(f"[!.]*{_ACCEPTED}"))


def accept_window(folder: Path, window_id: str, at: datetime) -> None:
    """Note that a window is to be believed."""
    files.write_json(
        folder / "windows" / f"{window_id}{_ACCEPTED}", {"accepted_at": format_instant(at)}
    )


def is_schema_accepted(folder: Path, fingerprint: str, since: datetime) -> bool:
    """Say whether somebody believes a description, and said so after the last read with another one, `since`."""
    try:
        record = files.read_json(folder / "schemas" / f"{fingerprint}{_ACCEPTED}")
    except FileNotFoundError:
        return False
    return parse_instant(record["accepted_at"]) > since


def accept_schema(folder: Path, fingerprint: str, at: datetime) -> None:
    """Note that a description is to be believed."""
    files.write_json(
        folder / "schemas" / f"{fingerprint}{_ACCEPTED}", {"accepted_at": format_instant(at)}
    )


def refuse_schema(folder: Path, refused: Refused) -> None:
    """Note that a description was not believed; of several the last one counts."""
    record = {**asdict(refused), "refused_at": format_instant(refused.refused_at)}
    files.write_json(folder / "schemas" / f"{refused.fingerprint}{_REFUSED}", record)


def refused_from(record: Mapping[str, Any]) -> Refused:
    """Read what `refuse_schema` wrote."""
    return Refused(**{**record, "refused_at": parse_instant(record["refused_at"])})


def refused_schema(folder: Path, since: datetime) -> Refused | None:
    """Return the description that was refused last, if nothing was read since and nobody accepted it."""
    found = []
    for path in (folder / "schemas").glob(f"[!.]*{_REFUSED}"):
        refused = _refused(path)
        is_accepted = is_schema_accepted(folder, refused.fingerprint, since)
        if refused.refused_at > since and not is_accepted:
            found.append(refused)
    return max(found, key=lambda refused: refused.refused_at, default=None)


def _refused(path: Path) -> Refused:
    cure = "Remove it: the next read looks at the description anew."
    record = files.read_json(path, cure=cure)
    try:
        return refused_from(record)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptFile(f"{path} is damaged: {error!r}.", cure=cure) from error
