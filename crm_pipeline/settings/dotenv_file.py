"""Reads `.env`, which only its owner may have access to."""

import io
import logging
import shlex
import stat
from pathlib import Path

from dotenv.parser import parse_stream

from crm_pipeline.kernel.errors import ConfigError

_LOGGER = logging.getLogger(__name__)
_NAMED: set[tuple[Path, int, int]] = set()
"""Wrong lines that were named: the file is read at each use of a secret."""


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
            line = (path, binding.original.line, hash(binding.original.string))
            if line in _NAMED:
                continue
            _NAMED.add(line)
            _LOGGER.warning(
                "%s:%d is left out: it is not NAME=value, or a quote is not closed. Correct the line.",
                path,
                binding.original.line,
            )
        elif binding.key is not None and binding.value is not None:
            values[binding.key] = binding.value
    return values
