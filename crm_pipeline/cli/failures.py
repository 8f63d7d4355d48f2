"""How a command fails: one paragraph on stderr, an exit code, and a traceback only on request."""

import sys
import textwrap
import traceback
from contextlib import suppress
from typing import Any

import typer
from typer.core import TyperGroup

from crm_pipeline.kernel.errors import ConfigError, CrmError
from crm_pipeline.kernel.secret import redacted
from crm_pipeline.kernel.text import on_one_line, printable

FAILED = 1
USAGE = 2  # what click uses for wrong arguments, and we for a wrong configuration
UNEXPECTED = 70  # EX_SOFTWARE of sysexits.h
INTERRUPTED = 130


class ExplainingGroup(TyperGroup):
    """The group of all commands; it turns errors into paragraphs and exit codes."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except CrmError as error:
            code = USAGE if isinstance(error, ConfigError) else FAILED
            raise typer.Exit(_report(error, str(error), code, debug=_wants_debug(ctx))) from None
        except (typer.Exit, typer.Abort):
            raise
        except BrokenPipeError:
            raise
        except Exception as error:
            if type(error).__module__.startswith(("typer", "click")):
                raise
            if (cause := _foreseen(error)) is not None:
                code = _report(error, str(cause), FAILED, debug=_wants_debug(ctx))
                raise typer.Exit(code) from None
            text = (
                f"unexpected {type(error).__name__}: {error}. "
                "Run the command again with --debug for the traceback, and please report it."
            )
            raise typer.Exit(_report(error, text, UNEXPECTED, debug=_wants_debug(ctx))) from None


def _foreseen(error: Exception) -> CrmError | None:
    """Return the cause of a library's error, if a database went away or a disk is full."""
    from crm_pipeline.configuration import load_settings
    from crm_pipeline.store.postgres.database import URL_VARIABLE
    from crm_pipeline.store.postgres.embedded import EmbeddedServer
    from crm_pipeline.store.postgres.outages import foreseen

    state = None
    with suppress(CrmError, OSError):  # only to name a disk; the error is reported in any case
        settings = load_settings()
        if not settings.environ.get(URL_VARIABLE, "").strip():
            state = EmbeddedServer(settings.data).folder
    return foreseen(error, state)


def _wants_debug(ctx: Any) -> bool:
    return bool(ctx.params.get("debug"))


def _report(error: BaseException, text: str, code: int, *, debug: bool) -> int:
    if debug:
        # Some libraries put whole URLs, tokens included, into their errors.
        trace = redacted("".join(traceback.format_exception(error)))
        sys.stderr.write(printable(trace) + "\n")
    sys.stderr.write(paragraph(text) + "\n")
    return code


def paragraph(text: str, kind: str = "error") -> str:
    """Return a text as one paragraph that begins with its kind, such as `error:`, without secrets."""
    flat = on_one_line(redacted(text))
    if not sys.stderr.isatty():
        return f"{kind}: {flat}"
    import shutil

    width = min(100, shutil.get_terminal_size().columns)
    return textwrap.fill(f"{kind}: {flat}", width, break_long_words=False, break_on_hyphens=False)
