"""The fixture `filled`: a data folder with every kind of file."""

import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with every kind of file; tests that flip a bit in it flip it back."""
    from crm_pipeline_tests.rot.world import START, World

    data = tmp_path_factory.mktemp("rot") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)  # no power cut is part of this
        World(data, START).fill()
    return data


@pytest.fixture(scope="session")
def expected(filled: Path) -> Callable[[str], Mapping[str, Any]]:
    """Return the result of a use where nothing is damaged."""
    from crm_pipeline_tests.rot.flips import USES, copied
    from crm_pipeline_tests.rot.world import World

    @cache
    def of(use: str) -> Mapping[str, Any]:
        return USES[use](World(copied(filled, filled.parent / f"whole {use}")))

    return of
