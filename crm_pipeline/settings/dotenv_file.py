"""Reads `.env`, which only its owner may have access to."""

import shlex
import stat
from pathlib import Path

from dotenv import dotenv_values

from crm_pipeline.kernel.errors import ConfigError


def read_dotenv(path: Path) -> dict[str, str]:
    """Return the variables of a file; none where there is no file, or this user may not read it.

    Raises:
        ConfigError: it is no text, or others may read or change it.
    """
    if not path.is_file():
        return {}
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        # No interpolation: a secret may well contain a dollar sign.
        values = dotenv_values(path, interpolate=False, encoding="utf-8")
    except PermissionError:
        # An analyst who shares the folder needs no secrets; a command that needs one names it.
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {type(error).__name__}.",
            cure="Check its permissions, and that it is UTF-8 text.",
        ) from None
    if mode & 0o077:
        raise ConfigError(
            f"{path} has mode {mode:04o}: others on this machine may read the secrets in it, or change "
            "them.",
            cure=f"Run `chmod 600 {shlex.quote(str(path))}`; where the disk knows no modes, export the "
            "variables instead. If others could read it for long, make new secrets.",
        )
    return {name: value for name, value in values.items() if value is not None}
