"""Which objects are read whole is decided once, from connections.yaml and the connector's list."""

import pytest

from crm_pipeline.connectors.whole_reads import is_read_whole, window_field
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.settings import ObjectSettings

LISTS = frozenset({"users"})


@pytest.mark.parametrize(
    ("name", "snapshot", "is_whole"),
    [
        ("users", None, True),
        ("deals", None, False),
        ("deals", True, True),
        ("users", False, False),
    ],
)
def test_the_setting_overrules_the_connector(
    name: str, snapshot: bool | None, is_whole: bool
) -> None:
    """Without a setting the connector's list decides."""
    obj = ObjectSettings(name, snapshot=snapshot)
    assert is_read_whole(obj, LISTS) is is_whole
    assert window_field("demo", obj, LISTS, "changed") == (None if is_whole else "changed")


@pytest.mark.parametrize(
    ("name", "snapshot", "cure"),
    [
        ("links", None, "Write 'links: {snapshot: true}' in connections.yaml"),
        ("links", False, "Write 'links: {snapshot: true}' in connections.yaml"),
        ("users", False, "Take 'snapshot: false' of users out of connections.yaml."),
    ],
)
def test_windows_need_a_modification_time(name: str, snapshot: bool | None, cure: str) -> None:
    """An object without one is an error that says what to set, because Dagster has to know partitions without a call."""
    obj = ObjectSettings(name, snapshot=snapshot)
    with pytest.raises(ConfigError, match=f"demo: {name} cannot be read by windows") as error:
        window_field("demo", obj, LISTS, None)
    assert error.value.cure.startswith(cure)
