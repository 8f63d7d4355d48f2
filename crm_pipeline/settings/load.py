"""Finds and reads connections.yaml and .env, and explains their faults.

Nothing else is read or written. No secret is needed: a missing one is an error at its first use.
"""

import io
import logging
import os
import shlex
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream
from pydantic import ValidationError

from crm_pipeline.kernel.errors import ConfigError, CrmError, UnknownName
from crm_pipeline.settings.auth import RETIRED_FIELDS, AuthModel
from crm_pipeline.settings.connection import Settings
from crm_pipeline.settings.document import Document
from crm_pipeline.settings.drift import DriftPolicies
from crm_pipeline.settings.enrichment import EnrichmentModel
from crm_pipeline.settings.model import Model
from crm_pipeline.settings.numbers import is_whole
from crm_pipeline.settings.providers import (
    BudgetModel,
    PriceModel,
    ProviderFacts,
    ProviderModel,
)
from crm_pipeline.settings.schema import ConnectionModel, FileModel, ObjectModel
from crm_pipeline.settings.vendors import VendorFacts
from crm_pipeline.settings.verification import VerificationModel

_LOGGER = logging.getLogger(__name__)
_FILE = "connections.yaml"
_CHECKOUT = Path(__file__).resolve().parent.parent.parent
_EXPECTED = {
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be a text",
    "dict_type": "must be a mapping (keys with values)",
    "model_type": "must be a mapping (keys with values)",
    "list_type": "must be a list",
    "too_long": "names too many fields",
}


def read_settings(
    vendors: Mapping[str, VendorFacts],
    root: Path | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    providers: Mapping[str, ProviderFacts] | None = None,
) -> Settings:
    """Read connections.yaml and .env.

    Args:
        vendors: what a connection may say, by the name of its vendor.
        root: the folder of connections.yaml; by default CRM_HOME, else DAGSTER_HOME if it holds the
            file, else the nearest folder upward from here that does, else the package's checkout.
        environ: stands in for the environment of the process, which wins over .env.
        providers: what a provider of data may say, by its type.

    Raises:
        ConfigError: something in the two files is wrong; the text names file, line, key and cure.
    """
    process = dict(os.environ if environ is None else environ)
    folder = _root(root, process)
    merged = {**read_dotenv(folder / ".env"), **process}
    if not (folder / _FILE).exists():
        raise ConfigError(
            f"{folder / _FILE} cannot be read: No such file or directory.",
            cure="Check the path (CRM_HOME), or make a project with `crm-pipeline init`.",
        )
    document = Document.read(folder / _FILE)
    port = _sandbox_port(merged)
    types = providers or {}
    model = _parsed(document, vendors, types)
    data = merged.get("CRM_DATA") or "data"
    owners = tuple(model.owners or ())
    settings = Settings(
        root=folder,
        data=(folder / Path(data).expanduser()).resolve(),
        connections={
            name: entry.connection(name, port, owners) for name, entry in model.connections.items()
        },
        environ=merged,
        verification=model.verification.settings(),
        drift=DriftPolicies(model.drift),
        enrichment=model.enrichment.settings(),
        providers={
            name: entry.provider(name, types[entry.type], port)
            for name, entry in model.providers.items()
        },
        policies=model.policies,
        owners=owners,
    )
    # A mistyped variable is an error now, and not in the step that needs it.
    _ = settings.retention, settings.memory_mb, settings.bounds, settings.quarantine
    _ = settings.patience_s, settings.query_timeout_s
    return settings


def settings_file(environ: Mapping[str, str] | None = None) -> Path:
    """Return where connections.yaml is, or where it belongs if there is none yet."""
    try:
        return _root(None, os.environ if environ is None else environ) / _FILE
    except ConfigError:
        return Path.cwd() / _FILE


def parse_connections(
    document: Document,
    vendors: Mapping[str, VendorFacts],
    providers: Mapping[str, ProviderFacts] | None = None,
) -> Mapping[str, ConnectionModel]:
    """Return the connections of a document.

    Args:
        document: connections.yaml.
        vendors: what a connection may say, by the name of its vendor.
        providers: what a provider of data may say, by its type.

    Raises:
        ConfigError: something in it is wrong.
    """
    return _parsed(document, vendors, providers or {}).connections


def _parsed(
    document: Document,
    vendors: Mapping[str, VendorFacts],
    providers: Mapping[str, ProviderFacts],
) -> FileModel:
    context = {"vendors": vendors, "providers": providers}
    try:
        return FileModel.model_validate(document.data, context=context)
    except ValidationError as errors:
        # A mistyped key is also a missing one: unknown keys are reported first.
        ordered = sorted(
            errors.errors(include_url=False, include_input=False),
            key=lambda error: (error["type"] != "extra_forbidden", document.line(_path(error))),
        )
        raise _explained(document, ordered[0], further=len(ordered) - 1) from None


def _root(root: Path | None, environ: Mapping[str, str]) -> Path:
    if root is not None:
        return root.resolve()
    if home := environ.get("CRM_HOME"):
        return Path(home).expanduser().resolve()
    cwd = Path.cwd()
    candidates = [cwd, *cwd.parents, _CHECKOUT]
    if home := environ.get("DAGSTER_HOME"):
        candidates.insert(0, Path(home).expanduser().resolve())
    for folder in candidates:
        if (folder / _FILE).is_file():
            return folder
    raise ConfigError(
        f"there is no {_FILE} in {cwd} or in a folder above it.",
        cure=f"Change into the folder that holds {_FILE}, or name it in the environment variable CRM_HOME; "
        "`crm-pipeline init DIR` makes a project.",
    )


def read_dotenv(path: Path) -> dict[str, str]:
    """Return the variables of a .env, none where there is no file or this user may not read it.

    Raises:
        ConfigError: it is no text, or others of the machine may read or change it.
    """
    if not path.is_file():
        return {}
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        # No interpolation: a secret may well contain a dollar sign.
        text = path.read_text(encoding="utf-8-sig")
    except PermissionError:
        # An analyst who shares the folder needs no secrets; a command that needs one names it.
        return {}
    except UnicodeDecodeError:
        raise ConfigError(
            f"{path} is not UTF-8 text.", cure="Save it as UTF-8; some editors offer UTF-16 first."
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {type(error).__name__}.", cure="Check its permissions."
        ) from None
    if mode & 0o077:
        raise ConfigError(
            f"{path} has mode {mode:04o}: others on this machine may read the secrets in it, or change "
            "them.",
            cure=f"Run `chmod 600 {shlex.quote(str(path))}`; where the disk knows no modes, export the "
            "variables instead. If others could read it for long, make new secrets.",
        )
    # Not by `dotenv_values`, which names neither the file nor what it expects where a line is wrong.
    values = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            _LOGGER.warning(
                "%s:%d is left out: it is not NAME=value, or a quote is not closed. Correct the line.",
                path,
                binding.original.line,
            )
        elif binding.key is not None and binding.value is not None:
            values[binding.key] = binding.value
    return values


def _sandbox_port(environ: Mapping[str, str]) -> int | None:
    text = environ.get("CRM_SANDBOX_PORT", "")
    if not text:
        return None
    if not is_whole(text) or not 0 < int(text) < 65_536:
        raise ConfigError(
            f"the environment variable CRM_SANDBOX_PORT is '{text[:100]}', which is no port.",
            cure="Set it to a number from 1 to 65535, or unset it.",
        )
    return int(text)


def _path(error: Any) -> tuple[str | int, ...]:
    location: tuple[str | int, ...] = tuple(error["loc"])
    context = error.get("ctx", {})
    if "path" in context:
        return (*location, *context["path"])
    return (*location, context["at"]) if "at" in context else location


def _explained(document: Document, error: Any, *, further: int) -> ConfigError:
    path = _path(error)
    where = f"{document.path}:{document.line(path)}"
    dotted = ".".join(str(step) for step in path)
    context: Mapping[str, Any] = error.get("ctx", {})
    more = f" {further} more to correct in this file." if further else ""
    if isinstance(context.get("error"), CrmError):
        return ConfigError(f"{where}: {context['error'].message}", cure=context["error"].cure)
    kind = error["type"]
    if kind == "extra_forbidden":
        return UnknownName("key", str(path[-1]), _allowed(path), where=f"{where} ({dotted})")
    if kind == "unknown":
        allowed: Iterable[str] = context["known"]
        return UnknownName(context["kind"], context["name"], allowed, where=f"{where} ({dotted})")
    if kind == "literal_error":
        return ConfigError(
            f"{where}: {dotted} has a value that is not allowed; allowed: {context['expected']}.",
            cure=f"Write one of these.{more}",
        )
    if kind == "missing":
        return ConfigError(f"{where}: {dotted} is missing.", cure=f"Add it.{more}")
    if kind == "rule":
        if isinstance(path[-1] if path else None, int):
            dotted = ".".join(str(step) for step in error["loc"])
        cure = f"{context['cure']}{more}"
        return ConfigError(f"{where}: {dotted or _FILE} {context['text']}.", cure=cure)
    text = _EXPECTED.get(kind) or error["msg"][0].lower() + error["msg"][1:]
    return ConfigError(
        f"{where}: {dotted or 'the file'} {text.replace('input should', 'must')}.",
        cure=f"Correct the value; docs/connections.md describes every key.{more}",
    )


def _allowed(path: Sequence[str | int]) -> list[str]:
    model: type[Model] = FileModel
    if path[0] == "providers" and len(path) > 2:
        parts: Mapping[str, type[Model]] = {"budget": BudgetModel, "price": PriceModel}
        model = parts.get(str(path[2]), ProviderModel) if len(path) > 3 else ProviderModel
    elif "auth" in path[2:-1]:
        model = AuthModel
    elif "objects" in path[2:-1]:
        model = ObjectModel
    elif path[0] == "verification" and len(path) > 1:
        model = VerificationModel
    elif path[0] == "enrichment" and len(path) > 1:
        model = EnrichmentModel
    elif len(path) == 3:
        model = ConnectionModel
    return [name for name in model.model_fields if name not in RETIRED_FIELDS]
