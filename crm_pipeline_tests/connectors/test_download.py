"""Downloads: a file is whole, or it is not there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from crm_pipeline.connectors.api import VendorApi
from crm_pipeline.connectors.metering import Operation
from crm_pipeline.kernel.errors import CrmError, Fatal, MalformedResponse


def downloading(chunks: Callable[[], Iterator[bytes]]) -> VendorApi:
    """Return an API whose answer has this body."""

    @contextmanager
    def stream(*_: object, **__: object) -> Iterator[tuple[object, Iterator[bytes]]]:
        yield object(), chunks()

    api: Any = object.__new__(VendorApi)
    api._http = SimpleNamespace(stream=stream)
    api._permitted = lambda _: nullcontext()
    api.authorization = lambda _: {}
    api.address = lambda _, path: path
    api.with_retries = lambda attempt: attempt(None)
    return cast("VendorApi", api)


def download(api: VendorApi, to: Path, **given: Any) -> None:
    api.download("/x", to, Operation("x"), accept="text/csv", **given)


@pytest.mark.parametrize("error", [Fatal("it is too large"), OSError("lost"), KeyboardInterrupt()])
def test_nothing_is_kept_of_a_broken_download(error: BaseException, tmp_path: Path) -> None:
    """Whatever broke it; what says that nothing was kept is right."""

    def broken() -> Iterator[bytes]:
        yield b"a" * 100_000
        raise error

    to = tmp_path / "page.csv"
    with pytest.raises((CrmError, KeyboardInterrupt)):
        download(downloading(broken), to)
    assert not to.exists()


def test_what_is_there_stays_until_something_comes(tmp_path: Path) -> None:
    """An answer whose headers are refused replaces nothing; a good one does."""
    to = tmp_path / "page.csv"
    to.write_bytes(b"before")

    def refuse(_: object) -> None:
        raise MalformedResponse("no such page")

    api = downloading(lambda: iter([b"a", b"b"]))
    with pytest.raises(MalformedResponse):
        download(api, to, accepts=refuse)
    assert to.read_bytes() == b"before"
    download(api, to)
    assert to.read_bytes() == b"ab"
