import random
from collections.abc import Callable

import pytest

from crm_pipeline.model.schema import Field
from crm_pipeline.stages.raw.renames import MOST_READS, likenesses, renames

Make = Callable[[random.Random, int], str]
KINDS: dict[str, Make] = {
    "phone": lambda chance, _: f"+49 {chance.randrange(10**8, 10**9)}",
    "email": lambda chance, n: f"person{n}@{chance.choice('abcdefgh')}.example",
    "text": lambda chance, n: f"note {n} {chance.randrange(999)}",
    "choice": lambda chance, _: chance.choice(("North", "South", "East", "West")),
    "amount": lambda chance, _: f"{chance.randrange(100, 99_999)}.50",
    "day": lambda chance, _: f"2026-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}",
}
WORDS = ("phone", "region", "tier", "owner mail", "contract end", "budget", "segment", "remark")


def field(name: str, label: str = "", kind: str = "string") -> Field:
    return Field(name, label or name, kind)


class World:
    """Records before and after an admin's change of fields."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.ids = [f"id{n}" for n in range(MOST_READS)]
        self.before: dict[str, dict[str, str | None]] = {each: {} for each in self.ids}
        self.after: dict[str, dict[str, str | None]] = {each: {} for each in self.ids}

    def column(self, kind: str) -> list[str | None]:
        """Return values of a kind; one in ten records has none."""
        return [
            KINDS[kind](self.chance, n) if self.chance.random() > 0.1 else None
            for n in range(len(self.ids))
        ]

    def put(
        self, side: dict[str, dict[str, str | None]], name: str, values: list[str | None]
    ) -> None:
        for each, value in zip(self.ids, values, strict=True):
            side[each][name] = value

    def edited(self, values: list[str | None], kind: str) -> list[str | None]:
        """Return the values after people have edited a few of the records."""
        other = self.column(kind)
        return [
            new if self.chance.random() < 0.05 else old
            for old, new in zip(values, other, strict=True)
        ]


def outcome(seed: int, decoys: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Return the true rename and the proposed ones, of a case with a seed."""
    world = World(seed)
    chance, kind = world.chance, world.chance.choice(sorted(KINDS))
    word = chance.choice(WORDS)
    gone = field(f"{word}__c", word.title(), kind)
    values = world.column(kind)
    world.put(world.before, gone.name, values)
    new_name = f"{chance.choice(('main', 'new', 'crm', 'x'))} {word}__c"
    added = [field(new_name, word.title() if chance.random() < 0.5 else f"Its {word}", kind)]
    world.put(world.after, new_name, world.edited(values, kind))
    truth = {gone.name: new_name}
    if decoys:
        # A new field of the same kind whose name is closer to the old one, with other values.
        added.append(field(f"{word} 2__c", word.title(), kind))
        world.put(world.after, added[-1].name, world.column(kind))
        if seed % 3 == 0:  # and the true one is not there: the old field was simply deleted
            added.pop(0)
            truth = {}
        if seed % 3 == 1:  # a second new field holds a copy: nobody can tell which one it is
            added.append(field(f"copy of {word}__c", "Copy", kind))
            world.put(world.after, added[-1].name, list(values))
            truth = {}
    found = renames(likenesses([gone], added, world.before, world.after))
    return truth, {name: like.new for name, like in found.items()}


def test_renames_are_told_by_values_and_decoys_are_not_taken() -> None:
    """Of 100 renames, 40 of them with decoys: at least 95 of 100 proposals are right and of 100 renames proposed."""
    right = proposed = expected = 0
    for seed in range(100):
        truth, found = outcome(seed, decoys=seed % 5 < 2)
        right += sum(truth.get(name) == new for name, new in found.items())
        proposed += len(found)
        expected += len(truth)
    assert right >= 0.95 * proposed
    assert right >= 0.95 * expected
    assert expected > 70


def test_two_renames_at_once_are_not_mixed_up() -> None:
    """Names that are swapped prove nothing against values."""
    world = World(1)
    first, second = world.column("phone"), world.column("phone")
    world.put(world.before, "Phone", first)
    world.put(world.before, "Mobile", second)
    world.put(world.after, "Mobile__c", first)
    world.put(world.after, "Phone__c", second)
    fields = [field("Phone"), field("Mobile")], [field("Phone__c"), field("Mobile__c")]
    found = renames(likenesses(*fields, world.before, world.after))
    assert {name: like.new for name, like in found.items()} == {
        "Phone": "Mobile__c",
        "Mobile": "Phone__c",
    }
    assert found["Phone"].evidence["records_compared"] == found["Phone"].compared <= MOST_READS


@pytest.mark.parametrize(
    ("before", "after", "is_same"),
    [
        ("100", "100.00", True),
        (" a  b ", "a b", True),
        ("0170 1", "170 1", False),
        ("01", "1", False),
        ("+49 1", "+49 1", True),
        ("1e400", "1e400", True),
        ("NaN", "nan", False),
        ("A", "a", False),
    ],
)
def test_values_are_compared_as_what_they_are(before: str, after: str, is_same: bool) -> None:
    """Numbers by value, texts without the spaces around them; codes keep their zeros."""
    [like] = likenesses(
        [field("a")], [field("b")], {"1": {"a": before}}, {"1": {"b": after}, "2": {"b": before}}
    )
    assert (like.compared, like.same) == (1, int(is_same))


def test_equal_flags_prove_nothing() -> None:
    """A field that is `true` everywhere resembles every other such field."""
    ids = [str(n) for n in range(MOST_READS)]
    before: dict[str, dict[str, str | None]] = {each: {"Vip": "true"} for each in ids}
    after: dict[str, dict[str, str | None]] = {each: {"Active": "true"} for each in ids}
    assert renames(likenesses([field("Vip")], [field("Active")], before, after)) == {}
