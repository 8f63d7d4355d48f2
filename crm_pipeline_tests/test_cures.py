"""What errors advise must survive the redaction that every text passes on its way out."""

import ast
from collections.abc import Iterator

from crm_pipeline.kernel.secret import redacted
from crm_pipeline_tests.test_floors import ROOT


def advice(tree: ast.Module) -> Iterator[str]:
    """Yield the cures of the tree."""
    for keyword in ast.walk(tree):
        if isinstance(keyword, ast.keyword) and keyword.arg == "cure":
            yield "".join(
                part.value
                for part in ast.walk(keyword.value)
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            )


def test_no_cure_hides_its_own_example() -> None:
    """Redaction takes nothing out of a cure: 'postgresql://***@host' tells nobody what to write."""
    sources = {str(path): path.read_text() for path in ROOT.rglob("*.py")}
    # To read the trees of all modules takes seconds; a source that redaction leaves alone has no such cure.
    suspects = {name: text for name, text in sources.items() if redacted(text) != text}
    cures = [(name, text) for name in suspects for text in advice(ast.parse(suspects[name]))]
    assert cures
    assert [(name, text) for name, text in cures if redacted(text) != text] == []
