"""Numbers that come from the environment."""

from collections.abc import Mapping

from crm_pipeline.kernel.errors import ConfigError


def whole_number(environ: Mapping[str, str], variable: str, usual: int, least: int) -> int:
    """Read a variable; `usual` where it is not set.

    Raises:
        ConfigError: it is no whole number, or less than `least`.
    """
    text = environ.get(variable, "").strip()
    if not text:
        return usual
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise ConfigError(
            f"the environment variable {variable} is '{text}'; expected is a whole number from "
            f"{least} on.",
            cure=f"Correct it, or unset it: then it is {usual}.",
        )
    return int(text)
