"""How large and how slow responses may be, from the environment; larger or slower ones are broken off."""

from collections.abc import Mapping
from dataclasses import dataclass

from crm_pipeline.settings.numbers import whole_number

MB = 1_000_000
# Of a downloaded file: text of a CRM is compressed 10 to 20 times, and no real page 100 times.
_UNPACKED_TIMES = 100


@dataclass(frozen=True)
class Bounds:
    """The limits of one response.

    Attributes:
        answer_mb: of a response that is read into memory, unpacked. The largest that we know are a few MB.
        answer_s: from its first byte to its end.
        file_mb: of a file that is downloaded, as received. Salesforce's pages end at 1 GB.
        file_s: from its first byte to its end.
    """

    answer_mb: int = 256
    answer_s: int = 600
    file_mb: int = 2_000
    file_s: int = 7_200

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Bounds":
        """Read the variables.

        Raises:
            ConfigError: one is no whole number, or less than is sensible.
        """
        usual = cls()
        return cls(
            answer_mb=whole_number(environ, "CRM_MAX_ANSWER_MB", usual.answer_mb, least=1),
            answer_s=whole_number(environ, "CRM_MAX_ANSWER_S", usual.answer_s, least=10),
            file_mb=whole_number(environ, "CRM_MAX_FILE_MB", usual.file_mb, least=1),
            file_s=whole_number(environ, "CRM_MAX_FILE_S", usual.file_s, least=10),
        )

    @property
    def answer_bytes(self) -> int:
        """The most bytes of a response that is read into memory."""
        return self.answer_mb * MB

    @property
    def file_bytes(self) -> int:
        """The most bytes of a downloaded file."""
        return self.file_mb * MB

    @property
    def unpacked_bytes(self) -> int:
        """The most bytes that a downloaded file may hold once it is unpacked."""
        return self.file_bytes * _UNPACKED_TIMES
