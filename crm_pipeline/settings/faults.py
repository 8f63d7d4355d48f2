"""Errors of pydantic about a YAML file as ours: file, line, key, what was expected, what to do."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from crm_pipeline.kernel.errors import ConfigError, CrmError, UnknownName
from crm_pipeline.settings.document import Document

_EXPECTED = {
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be a text",
    "dict_type": "must be a mapping (keys with values)",
    "model_type": "must be a mapping (keys with values)",
    "model_attributes_type": "must be a mapping (keys with values)",
    "list_type": "must be a list",
    "too_long": "names too many fields",
}


def location_of(error: Any) -> tuple[str | int, ...]:
    """Return where an error of pydantic is, as the keys to it."""
    location: tuple[str | int, ...] = tuple(error["loc"])
    context = error.get("ctx", {})
    if "path" in context:
        return (*location, *context["path"])
    return (*location, context["at"]) if "at" in context else location


def explained(
    document: Document,
    error: Any,
    *,
    further: int,
    allowed: Callable[[Sequence[str | int]], list[str]],
    described: str,
) -> ConfigError:
    """Return the error for a fault in a file.

    Args:
        document: the file.
        error: of pydantic.
        further: how many more there are.
        allowed: returns the keys that may stand in the place of an unknown one.
        described: the page that describes every key.
    """
    path = location_of(error)
    where = f"{document.path}:{document.line(path)}"
    dotted = ".".join(str(step) for step in path)
    context: Mapping[str, Any] = error.get("ctx", {})
    more = f" {further} more to correct in this file." if further else ""
    if isinstance(context.get("error"), CrmError):
        return ConfigError(f"{where}: {context['error'].message}", cure=context["error"].cure)
    kind = error["type"]
    if kind == "extra_forbidden":
        return UnknownName("key", str(path[-1]), allowed(path), where=f"{where} ({dotted})")
    if kind == "unknown":
        known: Iterable[str] = context["known"]
        return UnknownName(context["kind"], context["name"], known, where=f"{where} ({dotted})")
    if kind == "literal_error":
        return ConfigError(
            f"{where}: {dotted} has a value that is not allowed; allowed: {context['expected']}.",
            cure=f"Write one of these.{more}",
        )
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        tags = context.get("expected_tags", "")
        path = (*path, str(context["discriminator"]).strip("'"))
        where = f"{document.path}:{document.line(path)}"
        dotted = ".".join(str(step) for step in path)
        said = f"has a value that is not allowed; allowed: {tags}" if tags else "is missing"
        return ConfigError(f"{where}: {dotted} {said}.", cure=f"Write one of the kinds.{more}")
    if kind == "missing":
        return ConfigError(f"{where}: {dotted} is missing.", cure=f"Add it.{more}")
    if kind == "rule":
        if isinstance(path[-1] if path else None, int):
            dotted = ".".join(str(step) for step in error["loc"])
        cure = f"{context['cure']}{more}"
        return ConfigError(f"{where}: {dotted or document.path.name} {context['text']}.", cure=cure)
    text = _EXPECTED.get(kind) or error["msg"][0].lower() + error["msg"][1:]
    return ConfigError(
        f"{where}: {dotted or 'the file'} {text.replace('input should', 'must')}.",
        cure=f"Correct the value; {described} describes every key.{more}",
    )
