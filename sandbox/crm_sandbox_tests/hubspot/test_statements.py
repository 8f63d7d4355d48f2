import ast
import re
from pathlib import Path

STATEMENTS = range(1, 33)


def test_every_statement_has_a_test() -> None:
    """Each of the 32 numbered statements about a faithful sandbox is named by a test's docstring."""
    named: set[int] = set()
    for path in Path(__file__).parent.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                claims = re.findall(r"Statements? ([\d, and]+):", ast.get_docstring(node) or "")
                named |= {int(number) for claim in claims for number in re.findall(r"\d+", claim)}
    assert named == set(STATEMENTS)
