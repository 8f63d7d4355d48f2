"""Texts for Dagster's pages, which render descriptions and Markdown metadata: what looks like a tag vanishes there.

Our own texts keep their code spans. Texts of vendors, such as labels of fields, are shown letter by letter: they
must not become a link, a picture or a heading.
"""

import re

from crm_pipeline.kernel.text import on_one_line

_SPAN = re.compile(r"(`+)(?!`)(.*?[^`])\1(?!`)", re.DOTALL)
_TAG = re.compile(r"<[/!?A-Za-z][^<>`]*>")
_SPECIAL = re.compile(
    r"[\\`*\[\]<>|~&$]|(?<![A-Za-z0-9_])_+|_+(?![A-Za-z0-9_])|^(?=[#+\-=>])|(?<=^\d)\.(?=\s)"
)
_NUMBER = re.compile(r"^(\d{1,9})(?=[.)]\s)")


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
    return _NUMBER.sub(r"\1\\", _SPECIAL.sub(_escaped, on_one_line(text)))


def _escaped(match: re.Match[str]) -> str:
    # Before a line's first mark the match is empty, and takes the backslash alone.
    return "".join(f"\\{character}" for character in match[0]) or "\\"


def _as_code(text: str) -> str:
    return _TAG.sub(lambda match: f"`{match[0]}`", text)
