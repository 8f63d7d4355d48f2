"""What all models of connections.yaml share: strictness, and errors that name a cure."""

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


class Model(BaseModel):
    """A mapping whose keys and types are exactly these; what was written is never repeated."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


def problem(text: str, *, cure: str = "", **context: Any) -> PydanticCustomError:
    """Return the error that a validator raises; load.py adds file and line."""
    escaped = text.replace("{", "{{").replace("}", "}}")
    return PydanticCustomError("rule", escaped, {"text": text, "cure": cure, **context})
