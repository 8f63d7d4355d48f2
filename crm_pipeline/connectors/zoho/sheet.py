"""One answer with records: their texts as received, their ids and stamps; and answers put together.

A record that is read in several answers (more fields than one takes) is whole only if all of them hold it
with the same stamp. Only then are their parts joined into one text.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
import pyarrow as pa

from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.kernel.errors import ProtocolError


class _Info(msgspec.Struct):
    more_records: bool = False
    count: int | None = None
    next_page_token: str | None = None


class _Envelope(msgspec.Struct):
    data: list[msgspec.Raw]
    info: _Info = msgspec.field(default_factory=_Info)


class _Key(msgspec.Struct):
    id: str | int
    Modified_Time: str | None = None
    deleted_time: str | None = None


class _Keys(msgspec.Struct):
    data: list[_Key]


@dataclass
class Sheet:
    """The records of an answer.

    Attributes:
        stamps: ISO instants with the user's offset; None where there is none.
        texts: the records.
        has_more: the vendor has more behind it.
        token: of the next page, where the vendor pages so.
    """

    ids: list[str] = field(default_factory=list)
    stamps: list[str | None] = field(default_factory=list)
    texts: list[bytes | memoryview] = field(default_factory=list)
    has_more: bool = False
    token: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def places(self) -> list[int]:
        """The ids as numbers."""
        return [int(one) for one in self.ids]

    def instants(self) -> list[datetime | None]:
        """The stamps as instants."""
        return [instant(stamp) if stamp else None for stamp in self.stamps]

    def rows(self) -> Iterator[tuple[str, str | None, bytes | memoryview]]:
        """Yield id, stamp and text of each record."""
        return zip(self.ids, self.stamps, self.texts, strict=True)

    def only(self, keep: Sequence[bool]) -> "Sheet":
        """Return the chosen records."""
        if all(keep):
            return self
        chosen = [row for row, wanted in zip(self.rows(), keep, strict=True) if wanted]
        return Sheet(
            [row[0] for row in chosen],
            [row[1] for row in chosen],
            [row[2] for row in chosen],
            self.has_more,
            self.token,
        )

    def joined(self, others: Sequence["Sheet"]) -> "Sheet | None":
        """Return the records with the fields of the others; None where those hold other versions."""
        parts = [{key: (stamp, text) for key, stamp, text in one.rows()} for one in others]
        texts: list[bytes | memoryview] = []
        for key, stamp, text in self.rows():
            found = [part.get(key) for part in parts]
            if any(one is None or not is_same(one[0], stamp) for one in found):
                return None
            texts.append(merged([text, *(one[1] for one in found if one is not None)]))
        return Sheet(self.ids, self.stamps, texts, self.has_more, self.token)

    def batch(self, owner: str, *, deleted: bool = False) -> pa.RecordBatch:
        """Return the records for landing.

        Raises:
            ProtocolError: a stamp is no instant.
        """
        return batch_of(
            ids=self.ids, stamps=self.stamps, texts=self.texts, deleted=deleted, owner=owner
        )


def read(body: bytes, owner: str, *, stamp: str = "Modified_Time") -> Sheet:
    """Read an answer; without a body it holds nothing (204, 304).

    Raises:
        ProtocolError: it is not what the vendor documents.
    """
    if not body:
        return Sheet()
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
        keys = msgspec.json.decode(body, type=_Keys).data
    except msgspec.DecodeError as error:
        # The words of the library name a place in the answer, never its values.
        raise ProtocolError(
            f"{owner}: an answer with records is not what Zoho documents: {error}.",
            cure="Run again; if it persists, report it to the vendor with the time of the run.",
        ) from None
    info = envelope.info
    if not keys and info.more_records:
        raise ProtocolError(
            f"{owner}: Zoho sent a page without records, although more are to come.",
            cure="Run again; if it persists, report it to the vendor with the time of the run.",
        )
    return Sheet(
        [str(key.id) for key in keys],
        [getattr(key, stamp) for key in keys],
        [memoryview(one) for one in envelope.data],
        info.more_records,
        info.next_page_token or "",
    )


def merged(texts: Sequence[bytes | memoryview]) -> bytes:
    """Return one record with the fields of several; of a field that comes twice, the later."""
    whole: dict[str, msgspec.Raw] = {}
    for text in texts:
        whole |= fields_of(text)
    return msgspec.json.encode(whole)


def fields_of(text: bytes | memoryview) -> Mapping[str, msgspec.Raw]:
    """Return the fields of a record, each as its text."""
    found: dict[str, msgspec.Raw] = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    return found


def is_same(one: str | None, other: str | None) -> bool:
    """Say whether two stamps are one instant; offsets may differ."""
    if one == other:
        return True
    return bool(one and other) and instant(str(one)) == instant(str(other))


def instant(stamp: str) -> datetime:
    """Return a stamp as an instant.

    Raises:
        ProtocolError: it is none.
    """
    try:
        return datetime.fromisoformat(stamp).astimezone(UTC)
    except ValueError:
        raise ProtocolError("an answer of Zoho holds a stamp that is no instant.") from None


def stamp_text(at: datetime) -> str:
    """Write an instant as headers, queries and criteria want it: seconds and an offset."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")
