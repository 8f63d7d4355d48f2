"""Texts for Dagster's pages, which render descriptions and Markdown metadata: what looks like a tag vanishes there.

Our own texts keep their code spans. Texts of vendors, such as labels of fields, are shown letter by letter: they
must not become a link, a picture or a heading.
"""

import re

from crm_pipeline.kernel.text import on_one_line

_SPAN = re.compile(r"(`+)(?!`)(.*?[^`])\1(?!`)", re.DOTALL)
_TAG = re.compile(r"<[/!?A-Za-z][^<>`]*>")
_SPECIAL = re.compile(r"[\\`*\[\]<>|~&$]|(?<!\w)_|_(?!\w)|^(?=[#+\-=>])|(?<=^\d)\.(?=\s)")


def kept(text: str) -> str:
    """Return a text of ours in which `<connection>` and the like are code, so that they are seen."""
    parts: list[str] = []
    end = 0
    for span in _SPAN.finditer(text):
        parts += [_as_code(text[end : span.start()]), span.group()]
        end = span.end()
    return "".join([*parts, _as_code(text[end:])])


def literally(text: str) -> str:
    """Return a foreign text on one line, with everything escaped that Markdown would take for a mark."""
    return _SPECIAL.sub(lambda match: f"\\{match[0]}", on_one_line(text))


def _as_code(text: str) -> str:
    return _TAG.sub(lambda match: f"`{match[0]}`", text)
