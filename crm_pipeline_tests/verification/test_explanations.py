"""One value explained: what was found, why it matters, what to do."""

import pytest

from crm_pipeline.verification import explain_email, explain_phone


def test_an_address_is_explained() -> None:
    """The verdict first, then each reason with its sentence and its cure."""
    lines = explain_email("Jane <jane@gmial.com>")
    assert lines[0] == ("email", "jane@gmial.com", "risky", "Read as 'jane@gmial.com'.", "")
    assert ("typo: risky", "Did you mean jane@gmail.com?") in [
        (line.what, line.cure) for line in lines
    ]


def test_bad_syntax_is_explained_in_the_librarys_words() -> None:
    """Only the explanation has them: they quote the text."""
    line = explain_email("jane@@x.org")[1]
    assert line.what == "bad_syntax: undeliverable"
    assert line.why.endswith("The part after the @-sign contains invalid characters: '@'.")
    assert line.cure


def test_a_number_is_explained() -> None:
    """With the country by its name, the kind of number, and its extension."""
    lines = explain_phone("030 1234567 x12", "Deutschland")
    assert lines[0].what == "+49301234567 extension 12: unknown"
    assert lines[0].why == "fixed_line in DE: A line at a place."
    assert [line.what for line in explain_phone("0171 l234567", "DE")[1:]] == [
        "invalid_for_region: invalid",
        "letters: risky",
    ]


def test_a_country_that_is_not_known_is_said() -> None:
    """Instead of a verdict that nobody understands."""
    lines = explain_phone("030 1234567", "Atlantis")
    assert lines[0].what == "country: unknown"
    assert lines[2].what == "no_region: unknown"


@pytest.mark.parametrize(
    "value", ["", "\x00", "\ud800", "x" * 10_000, "jane@x.org\ud800", "\u202e@"]
)
def test_any_text_is_explained(value: str) -> None:
    """Never a crash, and always a reason."""
    assert all(len(explain(value)) >= 2 for explain in (explain_email, explain_phone))
