"""Changes to the file tree. What the databases name (reports, templates) is edited, never moved or deleted."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from .chance import pick
from .media import pdf, png
from .tree import put, walk

_LATEST = "reports/latest.pdf"


class TreeEditor:
    """Seeded changes to a tree. ``moment`` (seconds since 1970) is given to all that a change touches."""

    def __init__(self, root: Path, rng: Random, moment: int) -> None:
        self.root, self.rng, self.moment = root, rng, moment
        self.files = [path for path in walk(root) if path.is_file() and not path.is_symlink()]

    def some(self, suffix: str) -> Path | None:
        """One of the regular files with that suffix, or None."""
        found = [path for path in self.files if path.name.endswith(suffix)]
        return pick(self.rng, found) if found else None

    def name(self) -> str:
        return f"{self.rng.getrandbits(40):010x}"

    def touch(self, path: Path) -> None:
        """Sets the time of what was changed and of the folder it is in."""
        self.moment += 1
        for changed in (path, path.parent):
            if changed.is_symlink() or changed.exists():
                os.utime(changed, (self.moment, self.moment), follow_symlinks=False)


@dataclass(frozen=True)
class FileChange:
    """Like ``editor.Change``, for a tree."""

    kind: str
    weight: int
    make: Callable[[TreeEditor], bool]


def _create(at: TreeEditor) -> bool:
    folder = at.root / "media" / "new"
    path = folder / f"{at.name()}.png"
    put(path, png(at.rng, 24))
    path.chmod(0o644)
    folder.chmod(0o755)
    at.touch(folder)
    at.touch(path)
    at.files.append(path)
    return True


def _write_report(at: TreeEditor) -> bool:
    path = at.root / "reports" / f"extra-{at.name()}.pdf"
    put(path, pdf(["Extra report", at.name()]))
    path.chmod(0o644)
    at.touch(path)
    at.files.append(path)
    return True


def _repaint(at: TreeEditor) -> bool:
    """Same name and size, other content."""
    path = at.some(".png")
    if path is None:
        return False
    side = int.from_bytes(path.read_bytes()[16:20], "big")  # IHDR's width
    path.write_bytes(png(at.rng, side))
    at.touch(path)
    return True


def _annotate(at: TreeEditor) -> bool:
    path = at.some(".html")
    if path is None:
        return False
    with path.open("a", encoding="utf-8") as file:
        file.write(f"<!-- {at.name()} -->\n")
    at.touch(path)
    return True


def _retouch(at: TreeEditor) -> bool:
    """A few bytes in the middle of a large file."""
    path = at.some(".wav")
    if path is None:
        return False
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(at.rng.randbytes(4096))
    at.touch(path)
    return True


def _rename(at: TreeEditor) -> bool:
    old = at.some(".png")
    if old is None:
        return False
    new = old.with_name(f"{at.name()}.png")
    old.rename(new)
    at.files[at.files.index(old)] = new
    at.touch(new)
    return True


def _delete(at: TreeEditor) -> bool:
    """A picture, and its folder when that was the last one in it."""
    path = at.some(".png")
    if path is None:
        return False
    at.files.remove(path)
    path.unlink()
    at.touch(path)
    if not any(path.parent.iterdir()):
        path.parent.rmdir()
        at.touch(path.parent)
    return True


def _mode(at: TreeEditor) -> bool:
    path = at.some("")
    if path is None:
        return False
    path.chmod(0o600 if path.stat().st_mode & 0o077 else 0o644)
    return True


def _relink(at: TreeEditor) -> bool:
    link, report = at.root / _LATEST, at.some(".pdf")
    if report is None:
        return False
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(report, link.parent))
    at.touch(link)
    return True


FILE_CHANGES: tuple[FileChange, ...] = (
    FileChange("create", 4, _create),
    FileChange("create", 2, _write_report),
    FileChange("edit", 4, _repaint),
    FileChange("edit", 3, _annotate),
    FileChange("edit", 1, _retouch),
    FileChange("rename", 2, _rename),
    FileChange("delete", 3, _delete),
    FileChange("mode", 1, _mode),
    FileChange("relink", 1, _relink),
)
