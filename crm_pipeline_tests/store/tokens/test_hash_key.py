import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest

from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.store.tokens.hash_key import HashKey


def settings(data: Path, **environ: str) -> SimpleNamespace:
    return SimpleNamespace(data=data, environ=environ)


def test_hashes_are_the_same_in_each_run(tmp_path: Path) -> None:
    """Equal values have equal hashes with the key of the folder, others with another key; the key is not shown."""
    once, again = HashKey.of(settings(tmp_path / "a")), HashKey.of(settings(tmp_path / "a"))
    other = HashKey.of(settings(tmp_path / "b"))

    assert once.digest("123-45-6789") == again.digest("123-45-6789") != other.digest("123-45-6789")
    assert (once.name == again.name, once.name == other.name) == (True, False)
    assert once.digest("a", purpose="x") != once.digest("a", purpose="y")
    assert (tmp_path / "a" / "hash.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "a" / "hash.key").read_text().strip() not in repr(once)
    with pytest.raises(TypeError):
        pickle.dumps(once)


def test_the_environment_wins(tmp_path: Path) -> None:
    """CRM_HASH_KEY takes the place of the file; a text that is no key is refused by name, without its value."""
    key = HashKey.of(settings(tmp_path, CRM_HASH_KEY="ab" * 32))
    assert not list(tmp_path.iterdir())
    assert key.digest("x") == HashKey(bytes.fromhex("ab" * 32)).digest("x")
    with pytest.raises(ConfigError, match="CRM_HASH_KEY is no key") as caught:
        HashKey.of(settings(tmp_path, CRM_HASH_KEY="not a key"))
    assert "not a key" not in str(caught.value)
