import base64
import pickle
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from crm_pipeline.kernel.errors import ConfigError, StoreError
from crm_pipeline.store.tokens.state_key import StateKey


def settings(data: Path, **environ: str) -> SimpleNamespace:
    return SimpleNamespace(data=data, environ=environ)


def test_made_at_first_use(tmp_path: Path) -> None:
    """The key file is made once, readable by its owner only, and nothing else is left."""
    sealed = StateKey.of(settings(tmp_path / "data")).seal(b"plain", context="x")
    assert StateKey.of(settings(tmp_path / "data")).opened(sealed, context="x") == b"plain"
    (file,) = (tmp_path / "data").iterdir()
    assert (file.name, file.stat().st_mode & 0o777) == ("state.key", 0o600)


def test_made_by_many_at_once(tmp_path: Path) -> None:
    """Threads that find no key agree on one."""
    keys: list[StateKey] = []
    limiter = threading.Barrier(8)

    def work() -> None:
        limiter.wait()
        keys.append(StateKey.of(settings(tmp_path)))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sealed = keys[0].seal(b"plain", context="x")
    assert [key.opened(sealed, context="x") for key in keys] == [b"plain"] * 8


@pytest.mark.parametrize(
    "text",
    [
        "ab" * 32,
        base64.b64encode(b"\xfb" * 32).decode(),
        base64.urlsafe_b64encode(b"\xfb" * 32).decode(),
    ],
)
def test_the_variable_comes_first(tmp_path: Path, text: str) -> None:
    """CRM_STATE_KEY, hexadecimal or base64, is used, and no file is made."""
    key = StateKey.of(settings(tmp_path, CRM_STATE_KEY=text))
    assert key.opened(key.seal(b"plain", context="x"), context="x") == b"plain"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["hunter2", "zz" * 32, "ab" * 16, "päss" * 8])
def test_no_key(tmp_path: Path, text: str) -> None:
    """A text that is not a key is refused with the way to make one, and not quoted."""
    with pytest.raises(ConfigError, match=r"CRM_STATE_KEY.*token_hex") as caught:
        StateKey.of(settings(tmp_path, CRM_STATE_KEY=text))
    assert text not in str(caught.value)
    assert caught.value.__cause__ is None


def test_unreadable_file(tmp_path: Path) -> None:
    """A key file that cannot be read is named."""
    (tmp_path / "state.key").mkdir()
    with pytest.raises(StoreError, match=r"state\.key cannot be read"):
        StateKey.of(settings(tmp_path))


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_file_that_others_may_use(tmp_path: Path, mode: int) -> None:
    """A key file that is open to others is refused with the command that closes it."""
    StateKey.of(settings(tmp_path))
    path = tmp_path / "state.key"
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"mode {mode:04o}") as caught:
        StateKey.of(settings(tmp_path))
    assert f"chmod 600 {path}" in caught.value.cure
    path.chmod(0o600)
    StateKey.of(settings(tmp_path))


@pytest.mark.parametrize("change", ["key", "context", "body", "format", "short"])
def test_what_cannot_be_opened(change: str) -> None:
    """Another key, another context and damaged bytes are all refused."""
    key = StateKey(b"k" * 32)
    sealed = key.seal(b"plain", context="token of connection 'a'")
    context = "token of connection 'a'"
    if change == "key":
        key = StateKey(b"l" * 32)
    elif change == "context":
        context = "token of connection 'b'"
    elif change == "body":
        sealed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    elif change == "format":
        sealed = b"\x02" + sealed[1:]
    else:
        sealed = sealed[:5]
    with pytest.raises(StoreError, match=r"cannot be decrypted.*CRM_STATE_KEY"):
        key.opened(sealed, context=context)


def test_the_key_shows_itself_nowhere() -> None:
    """Neither its text nor a pickle holds the key."""
    key = StateKey(b"k" * 32, origin="a test")
    assert repr(key) == "StateKey(from a test)"
    with pytest.raises(TypeError):
        pickle.dumps(key)
