"""The base of all models of connections.yaml: strict, with errors that name a cure."""

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


class Model(BaseModel):
    """A mapping with exactly these keys and types; errors never repeat what was written."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


def problem(text: str, *, cure: str = "", **context: Any) -> PydanticCustomError:
    """Return the error that a validator raises; load.py adds file and line."""
    escaped = text.replace("{", "{{").replace("}", "}}")
    return PydanticCustomError("rule", escaped, {"text": text, "cure": cure, **context})
