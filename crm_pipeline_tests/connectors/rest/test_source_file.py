"""The files of sources: what is wrong in one is named with file, line and cure, and is never read as something else."""

import copy
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from crm_pipeline.connectors.rest.source_file import read_source
from crm_pipeline.kernel.errors import ConfigError

ACME = (Path(__file__).parent / "acme.yaml").read_text()


def written(folder: Path, text: str) -> Path:
    path = folder / "acme.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("records: data.items", "recrods: data.items", 28, "'recrods'.*records"),
        ("type: hmac", "type: hmca", 7, "not allowed.*hmac"),
        ("type: cursor,", "type: coursor,", 50, "not allowed.*cursor"),
        ('"{{ secret.SIGNING }}"', "hunter2", 9, "written into the file"),
        ('"{{ secret.KEY }}"', '"{{ config.HOST }}"', 8, "template that is not allowed"),
        ("table: contacts", "table: contact", 26, "unknown table 'contact'.*contacts"),
        ("first_name: name.first", "fist_name: name.first", 41, "fist_name"),
        ("from: firm.nr", "form: firm.nr", 44, "'form'.*from"),
        ("Europe/Berlin\n      start", "Europe/Berlni\n      start", 34, "no time zone"),
        ("lookback: 2h", "lookback: 10m", 31, "repeat an hour"),
        ("/people/{{ id }}", "/people/{{ parent.id }}", 38, "does not hold"),
        ("[method, path,", "[methode, path,", 11, "'methode'.*method"),
        ("header: X-Acme-Sign,", "header: X-Acme-Sign, query: s,", 13, "not exactly one place"),
        ("name: acme\n", "name: acmee\n", 2, "file is called acme.yaml"),
        ("start_into: {query: since}\n", "op: gte\n", 31, "start of the window"),
        (
            "primary_key: nr\n    paginate: {type: off",
            "primary_key: 7\n    paginate: {type: off",
            29,
            "text",
        ),
    ],
)
def test_errors_name_line_and_cure(
    tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    assert old in ACME
    path = written(tmp_path, ACME.replace(old, new, 1))
    with pytest.raises(ConfigError, match=f"(?s){said}") as raised:
        read_source(path)
    text = f"{raised.value}"
    assert re.search(rf"acme\.yaml:{line}[: ]", text), text
    assert "hunter2" not in text
    assert raised.value.cure or "known:" in text


def test_a_mutation_is_read_as_it_is_written_or_refused(tmp_path: Path) -> None:
    """Each key left out, misspelt, or with a value of another type: no other error, and a misspelt key never counts."""
    whole = yaml.safe_load(ACME)
    errors: list[ConfigError] = []
    kept: list[Any] = []
    for path in list(places(whole))[::STEP]:
        for number, mutated in enumerate(mutations(whole, path)):
            try:
                read_source(written(tmp_path, json.dumps(mutated)))
            except ConfigError as error:
                errors.append(error)
            else:
                kept.append((path, number))
    for error in errors:
        assert "acme.yaml:" in error.message
        assert error.cure or "known:" in error.message, error.message
    assert len(errors) > len(kept)
    assert len(errors) + len(kept) >= 200 // STEP
    # What is misspelt is refused, apart from names that the file itself gives.
    assert {path[-1] for path, number in kept if number == 1} <= FREE


STEP = 1 if os.environ.get("CRM_EXAMPLES") else 12
"""A campaign (`CRM_EXAMPLES`) mutates each place."""
FREE = {"people", "firms"}


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each key and each element."""
    steps = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for step, value in steps:
        yield (*path, step)
        yield from places(value, (*path, step))


def mutations(whole: Any, path: tuple[Any, ...]) -> Iterator[Any]:
    """Yield the document without a key, with the key misspelt, and with other values."""
    for change in ("out", "misspelt", None, ["x"]):
        document = copy.deepcopy(whole)
        around = document
        for step in path[:-1]:
            around = around[step]
        if change == "out":
            del around[path[-1]]
        elif change == "misspelt":
            if not isinstance(around, dict):
                continue
            around[f"{path[-1]}x"] = around.pop(path[-1])
        else:
            around[path[-1]] = change
        yield document
