"""The .env that `demo` and `up` see to."""

import shutil
import stat
from pathlib import Path

import pytest

from crm_pipeline.cli.workspace import with_dotenv
from crm_pipeline.configuration import load_settings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("before", [None, "ACME_TOKEN='mine'\nHUBSPOT_DEMO_TOKEN='other'\n"])
def test_the_sandbox_has_its_credentials(tmp_path: Path, before: str | None) -> None:
    """.env is made, or gets what it lacks: whoever ran `add` first can run the demo; nothing is changed in it."""
    for name in ("connections.yaml", ".env.example"):
        shutil.copy(ROOT / name, tmp_path / name)
    file = tmp_path / ".env"
    if before:
        file.touch(mode=0o600)
        file.write_text(before)
    settings = with_dotenv(load_settings(tmp_path, {}))
    for connection in settings.connections.values():
        for variable in connection.auth.variables:
            assert settings.secret(connection, variable)
    assert file.read_text().startswith(before or "#")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = file.read_bytes()
    with_dotenv(settings)
    assert file.read_bytes() == again
