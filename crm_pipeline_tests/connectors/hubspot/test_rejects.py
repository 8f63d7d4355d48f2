"""One bad record is one row in quarantine, by each route; keys come from the records, and addresses from nobody."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crm_pipeline.connectors.hubspot import connector
from crm_pipeline.kernel.errors import MalformedResponse
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw import Extraction, extract
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.manifest import WindowCommit
from crm_pipeline.store.landing.records import KEY_COLUMNS
from crm_pipeline_tests.connectors.hubspot.conftest import Client, emulator
from crm_pipeline_tests.connectors.malformed import EAGER, mutated
from crm_pipeline_tests.harness import Harness
from crm_sandbox.http import Response

HALF = b'"odd":"\\ud83d",'
Spoil = Callable[[bytes, str], bytes]


def with_half_a_pair(body: bytes, record: str) -> bytes:
    """Give a record a text that is none."""
    begin = b'{"id":"%b","properties":{' % record.encode()
    return body.replace(begin, begin + HALF)


def with_a_far_stamp(body: bytes, record: str) -> bytes:
    """Let a record be edited after the year 9999."""
    begin = b'{"id":"%b",' % record.encode()
    head, found, tail = body.partition(begin)
    name, _, rest = tail.partition(b'"lastmodifieddate":"')
    return head + found + name + b'"lastmodifieddate":"9' + rest if found else body


def read(
    hub: Harness, folder: Path, obj: str, route: str
) -> tuple[Extraction, WindowCommit, Landing]:
    """Read an object into a folder of its own."""
    landing = Landing(folder, hub.clock)
    with hub.account(**EAGER) as account:
        done = extract(
            account, ObjectSettings(obj, route=route), None, mode="range", landing=landing
        )
    [commit] = landing.windows("demo", obj)
    return done, commit, landing


def spoiled(record: str, spoil: Spoil) -> Callable[[Response], Response]:
    return lambda response: replace(response, body=spoil(response.body, record))


@pytest.mark.parametrize("spoil", [with_half_a_pair, with_a_far_stamp])
@pytest.mark.parametrize("route", ["search", "list"])
@pytest.mark.parametrize("place", [0, 8, 11, -1])
def test_one_bad_record_is_one_row(
    small_hub: Harness, tmp_path: Path, route: str, place: int, spoil: Spoil
) -> None:
    """Wherever on a page it stands, the others are read, and read = landed + set aside."""
    every = sorted(Client(small_hub).all("contacts"))
    bad = every[place]
    with mutated(emulator(small_hub), "/contacts", spoiled(bad, spoil)):
        done, commit, landing = read(small_hub, tmp_path, "contacts", route)
    assert done.reconciled
    assert (commit.records, commit.quarantined) == (len(every) - 1 + commit.uncounted, 1)
    [file] = tmp_path.glob("quarantine/**/*.parquet")
    [row] = pq.read_table(file).to_pylist()
    assert row["_source_id"] == bad
    assert bad.encode() in row["_raw"]
    landed = {one for batch in landing.batches("demo", "contacts") for one in ids_in(batch.path)}
    assert bad not in landed
    assert landed >= set(every) - {bad}


def ids_in(path: Path) -> list[str]:
    return pq.read_table(path, columns=["_source_id"])["_source_id"].to_pylist()


@pytest.mark.parametrize("spoil", [with_half_a_pair, with_a_far_stamp])
def test_a_bad_record_among_those_read_by_id(
    small_hub: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Spoil
) -> None:
    """What is set aside is the whole record, not the few keys of the search that named it."""
    ceilings = small_hub.settings.connection("demo").ceilings
    monkeypatch.setitem(ceilings, "search_characters", 900)
    every = sorted(Client(small_hub).all("contacts"))
    with mutated(emulator(small_hub), "/contacts", spoiled(every[3], spoil)):
        done, commit, _ = read(small_hub, tmp_path, "contacts", "search")
    assert done.reconciled
    assert commit.quarantined == 1
    [file] = tmp_path.glob("quarantine/**/*.parquet")
    [row] = pq.read_table(file).to_pylist()
    assert row["_source_id"] == every[3]
    assert b'"firstname"' in row["_raw"]


def test_a_whole_page_of_bad_records_is_no_answer(small_hub: Harness, tmp_path: Path) -> None:
    """The next page of a search starts after the last id; without a readable one it is unknown."""

    def bad(response: Response) -> Response:
        return replace(
            response, body=response.body.replace(b'"properties":{', b'"properties":{' + HALF)
        )

    with (
        mutated(emulator(small_hub), "/contacts/search", bad),
        pytest.raises(MalformedResponse, match="id of the next page is unknown"),
    ):
        read(small_hub, tmp_path, "contacts", "search")
    assert Landing(tmp_path, small_hub.clock).windows("demo", "contacts") == []


@pytest.mark.parametrize("obj", ["contacts", "deals", "owners", "deal_pipelines"])
def test_keys_of_what_has_landed(small_hub: Harness, tmp_path: Path, obj: str) -> None:
    """The records themselves give the keys that they landed with: id, stamp, whether they are archived."""
    _, commit, landing = read(small_hub, tmp_path, obj, "auto")
    with small_hub.account(**EAGER) as account:
        schema = account.describe(obj)
    marks = set[bool]()
    for batch in landing.batches("demo", obj):
        [raw] = pq.read_table(batch.path).combine_chunks().to_batches()
        found = connector.keys.of(
            obj, schema, raw, shape="json", route=commit.route, origin=None, deleted=raw["_deleted"]
        )
        assert found.equals(raw.select(list(KEY_COLUMNS)))
        marks |= set(raw["_deleted"].to_pylist())
    assert marks == ({False, True} if obj == "contacts" else {False})


def test_keys_of_what_was_set_aside() -> None:
    """A record that cannot be read has none; the rows beside it keep theirs."""
    good = '{"id":"7","properties":{"lastmodifieddate":"2026-01-02T00:00:00Z"},"archived":false}'
    bad = [
        good.replace("2026", "99999"),
        good.replace("7", "x"),
        good.replace("lastmodifieddate", "other"),
        '{"id":"8","a":"\\ud83d"}',
        "[]",
        "1},{",
    ]
    archived = good.replace("false", 'true,"archivedAt":"2026-01-03T00:00:00Z"')
    raw = pa.record_batch({"record": [good, *bad, archived]})
    schema = pa.schema([])
    found = connector.keys.of(
        "contacts", schema, raw, shape="json", route="search", origin=None, deleted=None
    )
    assert found["_source_id"].to_pylist() == ["7", *[None] * len(bad), "7"]
    assert found["_deleted"].to_pylist() == [False] * (len(bad) + 1) + [True]


class _Other(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.seen += 1  # type: ignore[attr-defined]
        self.send_response(500)
        self.end_headers()

    do_POST = do_GET  # noqa: N815 - the base class's name


@pytest.fixture
def elsewhere() -> Iterator[ThreadingHTTPServer]:
    """A server of somebody else's, which counts who asks it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Other) as server:
        server.seen = 0  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("form", ["http://{}/", "//{}/", "http://x@{}/", "@{}/"])
def test_links_of_answers_are_not_followed(
    small_hub: Harness, tmp_path: Path, elsewhere: ThreadingHTTPServer, form: str
) -> None:
    """The next page is named twice, by a mark and by an address; only the mark is used, as a parameter."""
    link = form.format(f"127.0.0.1:{elsewhere.server_port}").encode()

    def change(response: Response) -> Response:
        body = response.body
        if b'"link":"' in body:
            head, _, tail = body.partition(b'"link":"')
            body = head + b'"link":"' + link + tail[tail.index(b'"') :]
        return replace(response, body=body)

    with mutated(emulator(small_hub), "/contacts", change):
        done, _, _ = read(small_hub, tmp_path, "contacts", "list")
    assert done.reconciled
    assert elsewhere.seen == 0  # type: ignore[attr-defined]
