import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crm_pipeline.store.files.seal import KEY, BrokenSeal, sealed, unsealed

VALUES = st.dictionaries(
    st.text(alphabet="abé漢", min_size=1, max_size=4),
    st.none() | st.integers() | st.text(alphabet='aé😀"\\\n\0 ', max_size=6) | st.just([{"x": []}]),
    max_size=4,
)
FIRST = {"window_id": "01", "records": 12, "notes": {"checksum": "sha256:" + "0" * 64}}


@settings(max_examples=40)
@given(VALUES)
def test_a_sealed_value_is_read_back_without_its_seal(value: dict[str, Any]) -> None:
    """A sealed value is read back equal, and other programs read it as JSON with one more key."""
    text = sealed(value)
    assert unsealed(text) == (value, True)
    assert json.loads(text) == {**value, KEY: json.loads(text)[KEY]}


@settings(max_examples=40)
@given(VALUES.filter(bool))
@example({"a": [], "b": {}, "c": [{"d": [[]]}], "e": [float("nan"), float("-inf"), 1e400, 0.1]})
def test_its_text_is_that_of_json(value: dict[str, Any]) -> None:
    """All but the seal is written as `json.dumps` with an indent writes it, as earlier versions did."""
    expected = json.dumps(value, ensure_ascii=False, indent=1).removesuffix("\n}")
    assert sealed(value).decode().startswith(expected + f',\n "{KEY}": ')


def test_every_bit_counts() -> None:
    """No flipped bit passes: in the value, in the seal, in the spaces between."""
    text = sealed(FIRST)
    for place in range(len(text) * 8):
        spoiled = bytearray(text)
        spoiled[place // 8] ^= 1 << place % 8
        with pytest.raises(ValueError):  # noqa: PT011 - that it is told is the claim
            unsealed(bytes(spoiled))


@settings(max_examples=50)
@given(VALUES.filter(bool), st.data())
def test_a_part_does_not_pass(value: dict[str, Any], data: st.DataObject) -> None:
    """A file that was cut off, or lost a stretch to zeros, is damaged."""
    text = sealed(value)
    end = data.draw(st.integers(0, len(text) - 1))
    for spoiled in (text[:end], text[:end] + bytes(len(text) - end)):
        with pytest.raises(ValueError):  # noqa: PT011
            unsealed(spoiled)


@pytest.mark.parametrize("value", [{}, {"a": 1}, {"sha256": "0" * 64, "path": "x.parquet"}, [1]])
def test_files_of_earlier_versions_have_no_seal(value: Any) -> None:
    """Files without a seal are read as they are, however they were written."""
    assert unsealed(json.dumps(value, indent=1).encode()) == (value, False)
    assert unsealed(json.dumps(value).encode() + b"\n") == (value, False)


def test_a_file_changed_by_hand() -> None:
    """An edited file is damaged with its seal; without the last key it is read."""
    text = sealed(FIRST).decode().replace("12", "13")
    with pytest.raises(BrokenSeal):
        unsealed(text.encode())
    value = json.loads(text)
    del value[KEY]
    assert unsealed(json.dumps(value, indent=2).encode()) == ({**FIRST, "records": 13}, False)
