"""Finds and reads the files of sources, and explains their faults."""

import typing
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import ValidationError

from crm_pipeline.connectors.rest.source import Source
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.settings.document import Document
from crm_pipeline.settings.faults import explained, location_of
from crm_pipeline.settings.model import Model
from crm_pipeline.settings.vendors import VendorFacts


def read_source(path: Path) -> Source:
    """Read the file of a source.

    Raises:
        ConfigError: something in it is wrong; the text names file, line, key and cure.
    """
    document = Document.read(path)
    try:
        source = Source.model_validate(document.data)
    except ValidationError as errors:
        ordered = sorted(
            errors.errors(include_url=False, include_input=False),
            key=lambda error: (
                error["type"] != "extra_forbidden",
                document.line(_without_tags(location_of(error))),
            ),
        )
        first: Any = dict(ordered[0])
        first["loc"] = _without_tags(first["loc"])
        raise explained(
            document,
            first,
            further=len(ordered) - 1,
            allowed=_allowed,
            described="docs/custom-crm.md",
        ) from None
    if source.name != path.stem:
        line = document.line(("name",))
        raise ConfigError(
            f"{path}:{line}: name is '{source.name}', and the file is called {path.name}.",
            cure=f"Write 'name: {path.stem}', or rename the file.",
        )
    return source


def facts_of(path: Path) -> VendorFacts:
    """Return what a connection of a source may say.

    Raises:
        ConfigError: the file is wrong.
    """
    source = current(path)
    lookbacks = [one.incremental.lookback_s for one in source.resources.values() if one.incremental]
    return VendorFacts(
        routes=("pages",),
        version_pattern="1",
        version_example="1",
        ceilings={one.name: one.calls for one in source.limits},
        documents={source.docs: tuple(source.resources)} if source.docs else {},
        title=source.title or source.name,
        lookback_s=max(lookbacks, default=0),
    )


def current(path: Path) -> Source:
    """Return a source as its file says now; it is read again where the file has changed.

    Raises:
        ConfigError: the file is wrong, or gone.
    """
    try:
        status = path.stat()
    except OSError:
        return read_source(path)
    return _read_once(path, (status.st_mtime_ns, status.st_size, status.st_ino))


@lru_cache(maxsize=64)
def _read_once(path: Path, state: tuple[int, int, int]) -> Source:  # noqa: ARG001 - the state is part of the key
    return read_source(path)


_TAGS = frozenset(
    {"api_key", "basic", "bearer", "hmac", "session", "chain"}
    | {"none", "offset", "page", "cursor", "next_link", "keyset"}
    | {"burst", "day", "concurrency"}
)


def _without_tags(location: Sequence[str | int]) -> tuple[str | int, ...]:
    """Return where an error is, without the names of variants that pydantic puts behind a key or an index."""
    kept: list[str | int] = []
    for step in location:
        follows = kept and (kept[-1] in {"auth", "paginate"} or isinstance(kept[-1], int))
        if not (step in _TAGS and follows):
            kept.append(step)
    return tuple(kept)


def _allowed(location: Sequence[str | int]) -> list[str]:
    """Return the keys that may stand where an unknown one stands."""
    places: list[Any] = [Source]
    for step in location[:-1]:
        places = [below for place in places for below in _below(place, step)]
    models = [model for place in places for model in _models(place)]
    return sorted({field.alias or name for m in models for name, field in m.model_fields.items()})


def _below(place: Any, step: str | int) -> list[Any]:
    """Return the types of what stands at a key or an index of a value of a type."""
    if isinstance(place, type) and issubclass(place, Model):
        fields = place.model_fields.items()
        return [field.annotation for name, field in fields if step in {name, field.alias}]
    arguments = typing.get_args(place)
    origin = typing.get_origin(place)
    if origin in {dict, list}:
        return [arguments[-1]]
    if origin is Annotated:
        return _below(arguments[0], step)
    return [below for each in arguments for below in _below(each, step)]


def _models(place: Any) -> list[type[Model]]:
    if isinstance(place, type) and issubclass(place, Model):
        return [place]
    if typing.get_origin(place) in {dict, list}:
        return []
    return [model for each in typing.get_args(place) for model in _models(each)]
