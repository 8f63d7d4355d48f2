import pytest
from markdown_it import MarkdownIt

from crm_pipeline.orchestration.markdown import kept, literally

HOSTILE = [
    "<b>Bold</b>",
    "<!-- gone -->",
    "![pixel](https://evil.example/p.png)",
    "[link](https://evil.example)",
    "*/15 * * * *",
    "__init__ and _this_",
    "# heading",
    "- item",
    "1. first",
    "2024) Budget",
    "a | b ~~c~~ `d` \\e &lt;",
    "Invoice__c",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_foreign_text_is_shown_letter_by_letter(text: str) -> None:
    """A label of a field becomes no link, picture, heading or tag."""
    [paragraph, inline, _] = MarkdownIt("gfm-like", {"linkify": False}).parse(literally(text))
    assert paragraph.type == "paragraph_open"
    assert {child.type for child in inline.children or ()} == {"text"} | (
        {"text_special"} & {child.type for child in inline.children or ()}
    )
    assert "".join(child.content for child in inline.children or ()) == text


def test_what_looks_like_a_tag_in_our_texts_is_code() -> None:
    """It is seen in Markdown and reads well without; code spans stay as they are."""
    text = "Run `crm-pipeline add <name>` for <connection>, where a < b."
    assert kept(text) == "Run `crm-pipeline add <name>` for `<connection>`, where a < b."
    assert kept(kept(text)) == kept(text)
