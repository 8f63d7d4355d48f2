import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from crm_pipeline.cli.console import emit_json, emit_json_rows, output, say, table, verbatim
from crm_pipeline.cli.failures import paragraph
from crm_pipeline.cli.logs import to_stderr

HOSTILE = "\x1b[31m\x07\r\x9b\u202e[/x][link=file:///etc]"
SHOWN = "\\x1b[31m\\x07"


@pytest.mark.parametrize("part", ["cell", "heading", "title", "text"])
def test_no_text_steers_the_terminal(capsys: pytest.CaptureFixture[str], part: str) -> None:
    """Control characters and markup in values of accounts are shown, and have no effect."""
    text = f"a{HOSTILE}b"
    cells = {name: text if name == part else name for name in ("cell", "heading", "title")}
    if part == "text":
        output().print(verbatim(text))
    else:
        output().print(table(cells["title"], (cells["heading"],), [(cells["cell"],)]))
    shown = "".join(line.rstrip() for line in capsys.readouterr().out.split("\n"))
    assert f"a{SHOWN}" in shown
    assert "[/x][link=file:///etc]b" in shown
    assert not set(HOSTILE) & set(shown) & {"\x1b", "\x07", "\r", "\x9b", "\u202e"}


def test_lines_beside_results(capsys: pytest.CaptureFixture[str]) -> None:
    """Foreign texts on stderr have no effect either; our own markup works."""
    say(f"[bold]done[/] {HOSTILE[:9]}")
    assert capsys.readouterr().err == "done \\x1b[31m\\x9b\\u202e\n"


def test_errors_are_one_harmless_paragraph() -> None:
    """An error is one line, whatever its text holds."""
    assert paragraph(f"no\n{HOSTILE[:6]}") == f"error: no {SHOWN}"


@pytest.fixture
def configured() -> Iterator[None]:
    before = structlog.get_config()
    to_stderr()
    yield
    structlog.configure(**before)


def test_logs(capsys: pytest.CaptureFixture[str], configured: None) -> None:
    """A log line stays one line and shows control characters, in any kind of value."""
    structlog.get_logger().warning(
        f"one{HOSTILE[:6]}", said="two\nlevel=error forged", error=ValueError("\x1b[2J"), count=3
    )
    [line] = capsys.readouterr().err.splitlines()
    assert SHOWN in line
    assert "\\x1b[2J" in line
    assert "count=3" in line
    assert not {"\x1b", "\x07"} & set(line)


@pytest.mark.parametrize(
    "rows", [[], [{"a": 1}], [{"a": "x\ny\u2028z", "b": [1, {"c": None}]}, {}, {"a": 2}]]
)
def test_json_row_by_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, rows: list[Any]
) -> None:
    """Rows written one by one are what the whole list would be."""
    emit_json(rows)
    whole = capsys.readouterr().out
    written = io.StringIO()
    monkeypatch.setattr("sys.stdout", written)
    emit_json_rows(iter(rows))
    assert json.loads(written.getvalue()) == rows
    assert written.getvalue() == whole


def test_keys_hold_no_emoji(capsys: pytest.CaptureFixture[str]) -> None:
    """`:notes:` between a connection and an id is no picture of music."""
    output().print("hubspot:notes:1")
    assert capsys.readouterr().out.strip() == "hubspot:notes:1"
