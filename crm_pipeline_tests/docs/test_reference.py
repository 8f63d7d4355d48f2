"""The reference is what the code says now, and nothing that users meet is left without words."""

import inspect
import re
from pathlib import Path

from crm_pipeline.kernel import errors
from crm_pipeline_tests.docs.blocks import ROOT, blocks, prose
from crm_pipeline_tests.docs.made import reference

LANGUAGES = {"sh", "sql", "yaml", "python", "text", "ini", "toml", "nginx", "dockerfile"}
OF_OURS = {
    "CRM_STACK",
    "CRM_FAILPOINT",
}  # set by our own programs and tests, for processes that they start
VARIABLE = re.compile(r"\"(CRM_[A-Z_]+)\"")


def test_pages_are_current() -> None:
    """The pages of docs/reference and llms.txt say what the code says; `make docs` writes them."""
    assert reference().stale() == [], "run `make docs` and commit what it writes"


def test_a_stale_page_is_found(tmp_path: Path) -> None:
    """A page with another word is named."""
    module = reference()
    page = "docs/reference/settings.md"
    assert module.PAGES[page](tmp_path) == (ROOT / page).read_text(encoding="utf-8")
    (tmp_path / "docs" / "reference").mkdir(parents=True)
    (tmp_path / page).write_text((ROOT / page).read_text(encoding="utf-8") + "more")
    assert page in module.stale(tmp_path, [page])


def test_every_block_has_a_language() -> None:
    """Blocks are fenced and say what they hold, so that each is checked as such."""
    wrong = [
        f"{block} {block.language or 'no language'}"
        for block in blocks()
        if block.language not in LANGUAGES
    ]
    assert wrong == []


def test_every_verb_is_told() -> None:
    """Operations has words of people about each command."""
    documented = {code for page, code in prose() if page == "docs/operations.md"}
    verbs = {name.removeprefix("crm-pipeline ") for name in reference().verbs()}
    assert len(verbs) > 30
    assert [
        verb for verb in sorted(verbs) if not any(code.startswith(verb) for code in documented)
    ] == []


def test_commands_for_scripts_are_told() -> None:
    """Operations lists exactly the commands that have `--json`."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    [listed] = re.findall(r"these have `--json`: (.*?)\.", page, re.DOTALL)
    having = {
        verb.removeprefix("crm-pipeline ")
        for verb, command in reference().verbs().items()
        if any("--json" in parameter.opts for parameter in command.params)
    }
    assert set(re.findall(r"`([^`]+)`", listed)) == having


def test_every_variable_is_told() -> None:
    """Operations explains every environment variable that the package reads."""
    package = ROOT / "crm_pipeline"
    read = {
        name
        for path in package.rglob("*.py")
        for name in VARIABLE.findall(path.read_text(encoding="utf-8"))
    }
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`(CRM_[A-Z_]+)`", page))
    assert len(documented) > 20
    assert sorted(read - documented - OF_OURS - {"CRM_MAX_ANSWER", "CRM_MAX_FILE"}) == []


def test_every_error_is_told() -> None:
    """Each class of errors has a sentence of its own, and a place in the drawn tree."""
    tree = errors.__doc__ or ""
    for kind in reference().errors_classes():
        assert kind.__name__ in tree
        assert inspect.cleandoc(kind.__doc__ or "").endswith((".", ":")) or kind.__doc__
    page = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    assert [kind for kind in reference().errors_classes() if f"`{kind.__name__}`" not in page] == []
