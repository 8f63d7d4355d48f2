"""Numbers that come from the environment."""

from collections.abc import Mapping

from crm_pipeline.kernel.errors import ConfigError

MOST = 1_000_000_000  # seconds or megabytes; larger ones overflow where they are computed with


def whole_number(
    environ: Mapping[str, str], variable: str, usual: int, least: int, most: int = MOST
) -> int:
    """Read a variable; `usual` where it is not set.

    Raises:
        ConfigError: it is no whole number from `least` to `most`.
    """
    text = environ.get(variable, "").strip()
    if not text:
        return usual
    if not is_whole(text) or not least <= int(text) <= most:
        raise ConfigError(
            f"the environment variable {variable} is '{text[:100]}'; expected is a whole number from "
            f"{least} to {most:,}.",
            cure=f"Correct it, or unset it: then it is {usual}.",
        )
    return int(text)


def is_whole(text: str) -> bool:
    """Say whether a text is a whole number of a sensible length."""
    return text.isascii() and text.isdigit() and len(text) <= 20
