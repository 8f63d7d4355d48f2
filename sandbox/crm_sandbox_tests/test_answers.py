import gzip

from crm_sandbox.answers import AnswerCache


def test_an_answer_is_made_once_per_revision() -> None:
    """A change makes every answer anew; the same question on the same data does not."""
    cache, made = AnswerCache(), []

    def make() -> bytes:
        made.append(1)
        return b"x" * len(made)

    assert [cache.get("a", revision, make) for revision in (1, 1, 2, 2)] == [
        b"x",
        b"x",
        b"xx",
        b"xx",
    ]


def test_an_answer_is_had_packed_or_plain() -> None:
    """Both are the same body, which is made once."""
    cache, made = AnswerCache(), []

    def make() -> bytes:
        made.append(1)
        return b"answer" * 100

    packed = cache.packed("a", 1, make)
    assert len(packed) < 100
    assert gzip.decompress(packed) == cache.get("a", 1, make) == b"answer" * 100
    assert len(made) == 1


def test_old_answers_make_room() -> None:
    """What was not asked for longest goes first, and the bound holds."""
    cache = AnswerCache(most_bytes=3 * len(gzip.compress(b"0123456789")))
    made = []

    def ask(key: str) -> None:
        cache.get(key, 1, lambda: made.append(key) or b"0123456789")  # type: ignore[func-returns-value]

    for key in "abcadb":
        ask(key)
    assert made == ["a", "b", "c", "d", "b"]
