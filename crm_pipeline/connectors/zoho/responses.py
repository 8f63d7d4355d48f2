"""Responses with records: texts as received, ids and times of change; joins records of several responses.

A record with more fields than one response takes is read in several. Their parts are joined only if all have
the same time of change. Where a part cannot be read, the record is rejected.
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
from crm_pipeline.kernel.errors import MalformedResponse, ProtocolError
from crm_pipeline.store.landing.rejects import Reject


@dataclass
class ResponsePage:
    """The records of a response.

    Attributes:
        ids: of the readable records.
        modified: their times of change, ISO instants with the user's offset; None where there is none.
        texts: the readable records.
        has_more: more pages follow.
        token: of the next page, where the vendor pages by tokens.
        rejected: the unreadable records.
    """

    ids: list[str] = field(default_factory=list)
    modified: list[str | None] = field(default_factory=list)
    texts: list[bytes | memoryview] = field(default_factory=list)
    has_more: bool = False
    token: str = ""
    rejected: list[Reject] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def seen(self) -> int:
        """The number of records that the vendor sent, readable or not."""
        return len(self.ids) + len(self.rejected)

    @property
    def id_numbers(self) -> list[int]:
        """The ids as numbers."""
        return [int(record_id) for record_id in self.ids]

    def instants(self) -> list[datetime | None]:
        """Return the times of change as instants."""
        return [instant(modified) if modified else None for modified in self.modified]

    def rows(self) -> Iterator[tuple[str, str | None, bytes | memoryview]]:
        """Return id, time of change and text of each record."""
        return zip(self.ids, self.modified, self.texts, strict=True)

    def extend(self, other: "ResponsePage") -> None:
        """Add the records of another page, readable or not."""
        self.ids += other.ids
        self.modified += other.modified
        self.texts += other.texts
        self.rejected += other.rejected

    def copy(self) -> "ResponsePage":
        """Return a copy that can be extended."""
        page = ResponsePage(has_more=self.has_more, token=self.token)
        page.extend(self)
        return page

    def only(self, keep: Sequence[bool]) -> "ResponsePage":
        """Return the chosen records, and all unreadable ones."""
        if all(keep):
            return self
        chosen = [row for row, wanted in zip(self.rows(), keep, strict=True) if wanted]
        return replace(
            self,
            ids=[row[0] for row in chosen],
            modified=[row[1] for row in chosen],
            texts=[row[2] for row in chosen],
        )

    def joined(self, others: Sequence["ResponsePage"]) -> "ResponsePage | None":
        """Return the records with the fields of the other pages; None where those hold other versions.

        An unreadable part may have no id. It then belongs to one of the records that its page lacks.
        """
        parts = [
            {key: (modified, text) for key, modified, text in other.rows()} for other in others
        ]
        missing = [0] * len(parts)
        texts: list[bytes | memoryview] = []
        is_whole: list[bool] = []
        for key, modified, text in self.rows():
            matches = [part.get(key) for part in parts]
            is_whole.append(None not in matches)
            if None in matches:
                missing = [
                    number + (match is None) for number, match in zip(missing, matches, strict=True)
                ]
                continue
            present = [match for match in matches if match is not None]
            if any(not is_same_instant(match[0], modified) for match in present):
                return None
            texts.append(merged([text, *(match[1] for match in present)]))
        if any(number > len(page.rejected) for number, page in zip(missing, others, strict=True)):
            return None
        rejects = [reject for page in (self, *others) for reject in page.rejected]
        rest = self.only(is_whole)
        return replace(rest, texts=texts, rejected=rejects[: self.seen - len(texts)])

    def batch(self, owner: str, *, deleted: bool = False) -> pa.RecordBatch:
        """Return the records for landing."""
        return batch_of(
            ids=self.ids, modified_at=self.modified, texts=self.texts, deleted=deleted, owner=owner
        )


def page_reader(
    owner: str, *, rule: Rule = MODULE, key: str = "data", is_paged: bool = True
) -> Callable[[requests.Response], ResponsePage]:
    """Return a reader of responses with records; one without a body has none (204, 304).

    Args:
        owner: for error texts.
        rule: how to read the records' keys.
        key: of the list.
        is_paged: responses must say whether more pages follow.
    """

    def read(response: requests.Response) -> ResponsePage:
        if response.status_code in NO_BODY and not response.content:
            return ResponsePage()
        return read_body(response.content, owner, rule=rule, key=key, is_paged=is_paged)

    return read


def read_body(
    body: bytes, owner: str, *, rule: Rule = MODULE, key: str = "data", is_paged: bool = True
) -> ResponsePage:
    """Return the records of a response; see `page_reader`.

    Raises:
        MalformedResponse: the response is not what the vendor documents.
    """
    page = reader(rule, key).read(body, owner=owner)
    info: Info = page.envelope.info or Info()
    if is_paged and info.more_records is None:
        raise MalformedResponse(f"{owner}: an answer of Zoho does not say whether more is to come.")
    if not page.seen and info.more_records:
        raise MalformedResponse(
            f"{owner}: Zoho sent a page without records, although more are to come."
        )
    return ResponsePage(
        [str(record_id) for record_id in map(attrgetter(rule.id_name), page.keys)],
        list(map(rule.modified_getter, page.keys)),
        page.texts,
        bool(info.more_records),
        info.next_page_token or "",
        page.rejected,
    )


def merged(texts: Sequence[bytes | memoryview]) -> bytes:
    """Return one record with the fields of several texts; later texts win."""
    whole: dict[str, msgspec.Raw] = {}
    for text in texts:
        whole |= fields_of(text)
    return msgspec.json.encode(whole)


def fields_of(text: bytes | memoryview) -> Mapping[str, msgspec.Raw]:
    """Return the fields of a record, each as its text."""
    fields: dict[str, msgspec.Raw] = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    return fields


def is_same_instant(first: str | None, second: str | None) -> bool:
    """Return whether two texts are the same instant; offsets may differ."""
    if first == second:
        return True
    return bool(first and second) and instant(str(first)) == instant(str(second))


def instant(text: str) -> datetime:
    """Return the instant of a text.

    Raises:
        ProtocolError: the text is no instant.
    """
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ProtocolError(
            "an answer of Zoho holds a time of change that is no instant."
        ) from None


def instant_text(at: datetime) -> str:
    """Return an instant in the form of headers, queries and criteria: seconds and an offset."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")
