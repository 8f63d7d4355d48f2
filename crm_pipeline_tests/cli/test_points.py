"""`read`: what it says of each id, and wrong input."""

import json
from pathlib import Path
from typing import Any

import pytest

from crm_pipeline.connectors.asked_ids import Outcome
from crm_pipeline.stages import raw
from crm_pipeline.stages.raw import PointRead
from crm_pipeline_tests.cli.conftest import Run


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, fresh_url: str) -> list[str]:
    """The ids that were asked for; a record is read by its id `1`, others are not found."""
    monkeypatch.setenv("CRM_DATABASE_URL", fresh_url)
    kept: list[str] = []

    def read(account: Any, obj: Any, ids: list[str], **_: Any) -> PointRead:
        kept.extend(ids)
        answers = {"1": Outcome("read", source_id="1"), "x": Outcome("malformed", "it is no id")}
        outcomes = {one: answers.get(one, Outcome("not_found", "nobody has it")) for one in ids}
        return PointRead("demo", obj.name, outcomes, records=1, calls=2, warnings=("careful",))

    monkeypatch.setattr(raw, "read_points", read)
    return kept


def test_what_came_of_each_id(run: Run, project: Path, asked: list[str]) -> None:
    """Ids of the line and of the file are read; each has its line, and the exit code says whether all were answered."""
    (project / "ids.txt").write_text("2\n\n 3 \n")
    done = run("read", "demo", "Contact", "1", "--file", str(project / "ids.txt"))
    assert asked == ["1", "2", "3"]
    assert done.exit_code == 0
    assert "not found" in done.output
    assert "1 record landed with 2 API calls." in done.output
    assert "careful" in done.output
    done = run("read", "demo", "Contact", "--file", "-", "--json", input="1\nx\n")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert [(one["id"], one["status"]) for one in found["ids"]] == [
        ("1", "read"),
        ("x", "malformed"),
    ]
    assert (found["landed"], found["calls"], found["window_id"]) == (1, 2, None)


def test_wrong_input(run: Run, project: Path, asked: list[str]) -> None:
    """No ids, no such file, no such object: said before anybody is asked."""
    (project / "bytes.bin").write_bytes(b"\xff\xfe")
    for arguments, words in (
        (("demo", "Contact"), "no id was given"),
        (("demo", "Contact", "--file", "nothing.txt"), "cannot be read"),
        (("demo", "Contact", "--file", str(project / "bytes.bin")), "cannot be read"),
        (("demo", "Contcat", "1"), "Contact"),
    ):
        done = run("read", *arguments)
        assert done.exit_code == 2
        assert words in " ".join(done.stderr.split())
    assert asked == []
