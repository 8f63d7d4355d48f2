"""One answer with records: their texts as received, their ids and stamps; and answers put together.

A record that is read in several answers (more fields than one takes) is whole only if all of them hold it
with the same stamp. Only then are their parts joined into one text. Where one of them cannot be read, the record
is set aside.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from operator import attrgetter

import msgspec
import pyarrow as pa
import requests

from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.connectors.zoho.documents import NO_BODY, Info
from crm_pipeline.connectors.zoho.keys import MODULE, Rule, reader
from crm_pipeline.kernel.errors import MalformedAnswer, ProtocolError
from crm_pipeline.store.landing.rejects import Reject


@dataclass
class ResponsePage:
    """The records of an answer.

    Attributes:
        stamps: ISO instants with the user's offset; None where there is none.
        texts: the records.
        has_more: the vendor has more behind it.
        token: of the next page, where the vendor pages so.
        rejected: records that cannot be read.
    """

    ids: list[str] = field(default_factory=list)
    stamps: list[str | None] = field(default_factory=list)
    texts: list[bytes | memoryview] = field(default_factory=list)
    has_more: bool = False
    token: str = ""
    rejected: list[Reject] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def seen(self) -> int:
        """How many records the vendor sent, readable or not."""
        return len(self.ids) + len(self.rejected)

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

    def add(self, other: "ResponsePage") -> None:
        """Take the records of another one in, readable or not."""
        self.ids += other.ids
        self.stamps += other.stamps
        self.texts += other.texts
        self.rejected += other.rejected

    def copy(self) -> "ResponsePage":
        """Return one that can be added to."""
        found = ResponsePage(has_more=self.has_more, token=self.token)
        found.add(self)
        return found

    def only(self, keep: Sequence[bool]) -> "ResponsePage":
        """Return the chosen records, and all that cannot be read."""
        if all(keep):
            return self
        chosen = [row for row, wanted in zip(self.rows(), keep, strict=True) if wanted]
        return replace(
            self,
            ids=[row[0] for row in chosen],
            stamps=[row[1] for row in chosen],
            texts=[row[2] for row in chosen],
        )

    def joined(self, others: Sequence["ResponsePage"]) -> "ResponsePage | None":
        """Return the records with the fields of the others; None where those hold other versions.

        Which record a part was of that cannot be read, it need not say: one that is missing there.
        """
        parts = [{key: (stamp, text) for key, stamp, text in one.rows()} for one in others]
        missing = [0] * len(parts)
        texts: list[bytes | memoryview] = []
        is_whole: list[bool] = []
        for key, stamp, text in self.rows():
            found = [part.get(key) for part in parts]
            is_whole.append(None not in found)
            if None in found:
                missing = [
                    number + (one is None) for number, one in zip(missing, found, strict=True)
                ]
                continue
            there = [one for one in found if one is not None]
            if any(not is_same(one[0], stamp) for one in there):
                return None
            texts.append(merged([text, *(one[1] for one in there)]))
        if any(number > len(one.rejected) for number, one in zip(missing, others, strict=True)):
            return None
        rejects = [reject for one in (self, *others) for reject in one.rejected]
        rest = self.only(is_whole)
        return replace(rest, texts=texts, rejected=rejects[: self.seen - len(texts)])

    def batch(self, owner: str, *, deleted: bool = False) -> pa.RecordBatch:
        """Return the records for landing."""
        return batch_of(
            ids=self.ids, modified_at=self.stamps, texts=self.texts, deleted=deleted, owner=owner
        )


def reading(
    owner: str, *, rule: Rule = MODULE, key: str = "data", is_paged: bool = True
) -> Callable[[requests.Response], ResponsePage]:
    """Return what reads answers with records; without a body they hold nothing (204, 304).

    Args:
        owner: whose answers they are, for error texts.
        rule: what of a record is its id and its stamp.
        key: of the list.
        is_paged: they say whether more is to come.
    """

    def read(response: requests.Response) -> ResponsePage:
        if response.status_code in NO_BODY and not response.content:
            return ResponsePage()
        return read_body(response.content, owner, rule=rule, key=key, is_paged=is_paged)

    return read


def read_body(
    body: bytes, owner: str, *, rule: Rule = MODULE, key: str = "data", is_paged: bool = True
) -> ResponsePage:
    """Read an answer with records; see `reading`.

    Raises:
        MalformedAnswer: it is not what the vendor documents.
    """
    page = reader(rule, key).read(body, owner=owner)
    info: Info = page.envelope.info or Info()
    if is_paged and info.more_records is None:
        raise MalformedAnswer(f"{owner}: an answer of Zoho does not say whether more is to come.")
    if not page.seen and info.more_records:
        raise MalformedAnswer(
            f"{owner}: Zoho sent a page without records, although more are to come."
        )
    return ResponsePage(
        [str(one) for one in map(attrgetter(rule.id_name), page.keys)],
        list(map(rule.stamps, page.keys)),
        page.texts,
        bool(info.more_records),
        info.next_page_token or "",
        page.rejected,
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
    except (ValueError, OverflowError):
        raise ProtocolError("an answer of Zoho holds a stamp that is no instant.") from None


def stamp_text(at: datetime) -> str:
    """Write an instant as headers, queries and criteria want it: seconds and an offset."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")
