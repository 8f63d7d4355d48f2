"""A new entry of connections.yaml: made, checked, written and taken back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crm_pipeline.cli.discovery import write_text
from crm_pipeline.cli.emulated import DEFAULT_ADDRESS
from crm_pipeline.configuration import parse_connections
from crm_pipeline.connectors.registry import connector
from crm_pipeline.connectors.vendor_facts import vendor_facts
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.settings.auth import KINDS, KindRules
from crm_pipeline.settings.connection import SOURCE
from crm_pipeline.settings.document import Document
from crm_pipeline.settings.editing import with_connection

_NEW_FILE = """\
# The accounts that crm-pipeline reads, one entry each; docs/connections.md describes every key.
# No secrets belong here: keys that end in _env name environment variables.

connections:
"""
_LONGEST_VARIABLE = 60


@dataclass(frozen=True)
class Entry:
    """A new connection as far as it is known; open fields have a harmless value."""

    name: str
    vendor: str
    login_url: str
    kind: str
    sandbox: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def blank(cls, vendor: str) -> "Entry":
        """Return an entry of a vendor that is valid as it is.

        Raises:
            UnknownName: there is no such vendor.
        """
        of = connector(vendor)
        return cls("new", vendor, of.address_example, of.logins[0].kind)

    @property
    def rules(self) -> KindRules:
        """The rules of its kind of login; a source needs the secrets that its file names."""
        if self.kind == SOURCE:
            return KindRules(getattr(connector(self.vendor), "secrets", ()))
        return KINDS[self.kind]

    def proposed(self, wanted: tuple[str, ...] = ()) -> dict[str, str]:
        """Return the variables that its login needs, and those `wanted` of the optional ones."""
        rules = self.rules
        named = [name for name in rules.variables if name in self.variables]
        needed = [*rules.needed, *rules.one_of[:1]]
        if set(named) & set(rules.one_of):
            needed = [*rules.needed]
        names = dict.fromkeys([*needed, *named, *wanted])
        room = _LONGEST_VARIABLE - len("_PRIVATE_KEY_FILE")
        prefix = self.name.upper()[:room]
        return {name: self.variables.get(name, f"{prefix}_{name.upper()}") for name in names}

    def data(self) -> dict[str, Any]:
        """Return the entry as values for the file."""
        named = self.proposed()
        auth: dict[str, Any] = {f"{name}_env": variable for name, variable in named.items()}
        if self.kind == SOURCE:
            auth = {"secrets": named}
        sandbox = {"sandbox": True} if self.sandbox else {}
        return {
            "vendor": self.vendor,
            "login_url": self.login_url,
            **sandbox,
            "auth": {"kind": self.kind, **auth},
            "objects": [],
        }


class Draft:
    """connections.yaml before and after the new entry.

    Args:
        path: of connections.yaml; it need not exist.

    Raises:
        ConfigError: something in the file is wrong already.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_new = not path.exists()
        vendor_facts().use_sources_of(path.parent)
        self._before = Document(path, _NEW_FILE) if self.is_new else Document.read(path)
        empty = self._before.data in (None, {"connections": None})
        self.existing = {} if empty else dict(parse_connections(self._before))

    def sandbox_address(self, vendor: str) -> str:
        """Return where the sandbox is, or will be, for a vendor."""
        for model in self.existing.values():
            if model.sandbox and model.auth.kind != SOURCE:
                return f"{model.login_url.rpartition('/')[0]}/{vendor}"
        host, port = DEFAULT_ADDRESS
        return f"http://{host}:{port}/{vendor}"

    def refuse(self, entry: Entry) -> None:
        """Make sure that an entry is valid in the file, before anything is written.

        Raises:
            ConfigError: it is not.
        """
        self._text_with(entry)

    def write(self, entry: Entry) -> str:
        """Add the entry to the file; return the new text.

        Raises:
            ConfigError: it is not valid there, or the file has changed meanwhile.
        """
        if not self.is_new and Document.read(self.path).text != self._before.text:
            raise ConfigError(
                f"{self.path} was changed by somebody else meanwhile; nothing was written.",
                cure="Run the command again.",
            )
        text = self._text_with(entry)
        write_text(self.path, text)
        return text

    def take_back(self, written: str) -> bool:
        """Restore the file unless it has changed since; return whether that was done."""
        if Document.read(self.path).text != written:
            return False
        if self.is_new:
            self.path.unlink()
        else:
            write_text(self.path, self._before.text)
        return True

    def _text_with(self, entry: Entry) -> str:
        if entry.name in self.existing:
            raise ConfigError(
                f"{self.path} has a connection '{entry.name}' already; it is left as it is.",
                cure="Choose another name, or change the entry in the file.",
            )
        text = with_connection(self._before, entry.name, entry.data())
        unsafe = ConfigError(
            f"{self.path} is written in a form that nothing can be added to safely.",
            cure="Add the entry by hand; docs/connections.md has one to copy.",
        )
        try:
            document = Document(self.path, text)
        except ConfigError:
            raise unsafe from None  # it names a line of the new text, which is in no file
        try:
            after = dict(parse_connections(document))
        except ConfigError as error:
            raise ConfigError(_without_line(error.message), cure=error.cure) from None
        added = after.pop(entry.name, None)
        if added is None or after != self.existing:
            raise unsafe
        connector(entry.vendor).vet(added.connection(entry.name, None))
        return text


def _without_line(message: str) -> str:
    """Remove file and line: the line is one of the new text, which is in no file."""
    start, _, rest = message.partition(": ")
    return rest if rest and "connections.yaml" in start else message
