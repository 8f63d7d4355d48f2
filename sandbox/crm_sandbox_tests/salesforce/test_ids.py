import numpy as np
import pytest

from crm_sandbox.salesforce.ids import checksum, full_id, is_id, make_id, make_ids


@pytest.mark.parametrize(("short", "end"), [("00Dd0000000dtDq", "EAI"), ("00D7F00000107Xs", "UAI")])
def test_checksum_of_real_ids(short: str, end: str) -> None:
    """The three last characters are those of real organisations."""
    assert checksum(short) == end
    assert full_id(short) == short + end


def test_made_ids_are_whole_and_ascending() -> None:
    """Ids made in bulk have right checksums, are unique and grow as bytes."""
    made = make_ids("003", np.arange(500)).to_pylist()
    assert made[17] == make_id("003", 17)
    assert all(len(one) == 18 and one == full_id(one[:15]) for one in made)
    assert made == sorted(set(made))


def test_ids_that_differ_only_by_case() -> None:
    """Statement 23: some ids are told apart by the case of a letter alone."""
    made = [one[:15] for one in make_ids("003", np.arange(100)).to_pylist()]
    assert len({one.lower() for one in made}) < len(set(made))


def test_missing_number_gives_null() -> None:
    """A reference to nothing is null, not an id."""
    assert make_ids("001", np.array([-1, 0])).to_pylist()[0] is None


@pytest.mark.parametrize("text", ["", "abc", "003Hr00000072w-", "003Hr00000072waIAAX"])
def test_not_an_id(text: str) -> None:
    """Texts of another form are not taken for ids."""
    assert not is_id(text)
