"""The commands that the documentation, the help and the cures of errors show exist, with these options."""

import re

import pytest

from crm_pipeline_tests.docs.blocks import ROOT, Block, of, prose
from crm_pipeline_tests.docs.commands import is_ours, refused, simple_commands
from crm_pipeline_tests.docs.made import reference

# Programs of others, which these tests do not run. Lines with curl are those of the sandbox's pages, whose tests run them.
OTHERS = {
    *(
        "brew",
        "caddy",
        "cd",
        "cp",
        "curl",
        "docker",
        "echo",
        "export",
        "git",
        "install",
        "mkdir",
        "openssl",
        "sudo",
    ),
    *(
        "dagster",
        "dg",
        "duckdb",
        "eval",
        "pip",
        "pipx",
        "python",
        "python3",
        "uv",
        "uvx",
        ".venv/bin/pip",
    ),
    *("crm-sandbox", "ls", "cat", "chmod", "usermod", ".venv/bin/python", "source", "."),
}
TARGETS = set(
    re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
)


def problems(block: Block) -> list[str]:
    """Return what is wrong with the commands of a block."""
    found = []
    for words in simple_commands(block.text):
        if is_ours(words):
            found.append(refused(words, is_whole=True))
        elif words[0] == "make":
            goals = [word for word in words[1:] if "=" not in word and not word.startswith("-")]
            found += [f"make has no target '{goal}'" for goal in goals if goal not in TARGETS]
        elif words[0] not in OTHERS:
            found.append(f"'{words[0]}' is no program that the documentation may use")
    return [f"{block}: {problem}" for problem in found if problem]


def test_commands_of_blocks() -> None:
    """Each line of a shell block is taken by `crm-pipeline`, is a target of the Makefile, or runs a known program."""
    shown = of("sh")
    assert len(shown) > 30
    assert [problem for block in shown for problem in problems(block)] == []


def test_commands_in_prose_and_help() -> None:
    """Commands between backticks exist with these options, in the pages and in the errors' texts and cures."""
    texts = [(page, code) for page, code in prose() if page != "docs/reference/errors.md"]
    texts += [
        (text.module, code)
        for text in reference().errors_texts(ROOT / "crm_pipeline")
        for code in re.findall(r"`([^`]+)`", f"{text.message} {text.cure}".replace("…", "1"))
    ]
    shown = [
        (page, words) for page, code in texts for words in simple_commands(code) if is_ours(words)
    ]
    assert len(shown) > 80
    assert [
        f"{page}: {said}" for page, words in shown if (said := refused(words, is_whole=False))
    ] == []


@pytest.mark.parametrize(
    "line",
    [
        "crm-pipeline bakfill acme",
        "crm-pipeline drift acept 7",
        "crm-pipeline backfill acme --since 2024-01",
        'eval "$(crm-pipeline db begin)"',
        "crm-pipeline up --port many",
        "crm-pipeline restore",
        "make dmo",
        "crm_pipeline demo",
    ],
)
def test_a_planted_line_is_refused(line: str) -> None:
    """A command, an option, a value, a missing argument, a target or a program that is not there is found."""
    assert len(problems(Block("page", 1, "sh", line))) == 1
