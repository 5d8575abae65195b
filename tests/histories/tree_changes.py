"""What can happen to a tree of files between two backups. Each change takes the tree's root and a source of chance."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.support.tree_torture import has_attributes

Change = Callable[[Path, random.Random], None]

NAMES = (b"a", b"b", b"c", b"not\xffutf8", b"new\nline", b"-rf")
SIZES = (0, 1, 5, 5, 4096, 70_000)


def paths(root: Path, *, folders: bool = False) -> list[Path]:
    """The folders of a tree with its root, or all else in it."""
    found = [root] if folders else []
    for folder, below, files in os.walk(root):
        links = [name for name in below if os.path.islink(os.path.join(folder, name))]
        names = sorted(set(below) - set(links)) if folders else sorted(files + links)
        found += [Path(folder, name) for name in names]
    return sorted(found)


def content(chance: random.Random, size: int | None = None) -> bytes:
    """Few distinct ones, so that contents repeat and come back."""
    return bytes([chance.randrange(3)]) * (chance.choice(SIZES) if size is None else size)


def place(root: Path, chance: random.Random) -> Path:
    """A name in some folder; it may be taken."""
    return chance.choice(paths(root, folders=True)) / os.fsdecode(chance.choice(NAMES))


def file(root: Path, chance: random.Random) -> Path:
    """A file that is there, or is made now."""
    found = [path for path in paths(root) if path.is_file() and not path.is_symlink()]
    return chance.choice(found) if found else create(root, chance)


def create(root: Path, chance: random.Random) -> Path:
    path = place(root, chance)
    while os.path.lexists(path):
        path = path.with_name(f"{path.name}'")
    path.write_bytes(content(chance))
    return path


def make_file(root: Path, chance: random.Random) -> None:
    create(root, chance)


def make_folder(root: Path, chance: random.Random) -> None:
    if not os.path.lexists(path := place(root, chance)) and len(path.parts) < len(root.parts) + 4:
        path.mkdir()


def write(root: Path, chance: random.Random) -> None:
    file(root, chance).write_bytes(content(chance))


def write_unseen(root: Path, chance: random.Random) -> None:
    """Another content of the same size, and the time put back."""
    path = file(root, chance)
    state = path.stat()
    path.write_bytes(content(chance, state.st_size))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def replace_unseen(root: Path, chance: random.Random) -> None:
    """Another file of the same size and time in its place."""
    path = file(root, chance)
    state, new = path.stat(), root / "new"
    new.write_bytes(content(chance, state.st_size))
    new.chmod(state.st_mode & 0o7777)
    os.utime(new, ns=(state.st_atime_ns, state.st_mtime_ns))
    new.rename(path)


def append(root: Path, chance: random.Random) -> None:
    with file(root, chance).open("ab") as opened:
        opened.write(content(chance))


def truncate(root: Path, chance: random.Random) -> None:
    path = file(root, chance)
    os.truncate(path, path.stat().st_size // 2)


def make_sparse(root: Path, chance: random.Random) -> None:
    os.truncate(file(root, chance), chance.choice([100_000, 1 << 20]))


def touch(root: Path, chance: random.Random) -> None:
    os.utime(file(root, chance), ns=(0, chance.randrange(10**18)))


def delete(root: Path, chance: random.Random) -> None:
    if found := paths(root):
        chance.choice(found).unlink()


def delete_folder(root: Path, chance: random.Random) -> None:
    if found := paths(root, folders=True)[1:]:
        shutil.rmtree(chance.choice(found))


def move(root: Path, chance: random.Random) -> None:
    """A file, folder or link to another name; what is there goes, unless it is a folder."""
    old, new = chance.choice([*paths(root), *paths(root, folders=True)]), place(root, chance)
    if old != root and old not in new.parents and not (os.path.lexists(new) and (old.is_dir() or new.is_dir())):
        old.rename(new)


def swap(root: Path, chance: random.Random) -> None:
    first, second = file(root, chance), file(root, chance)
    for old, new in ((first, root / "between"), (second, first), (root / "between", second)):
        if old.exists():
            old.rename(new)


def copy(root: Path, chance: random.Random) -> None:
    """With its times, where nothing or another file is."""
    source, path = file(root, chance), place(root, chance)
    if not path.is_dir() and not path.is_symlink() and not (path.exists() and path.samefile(source)):
        shutil.copy2(source, path)


def chmod(root: Path, chance: random.Random) -> None:
    file(root, chance).chmod(chance.choice([0o600, 0o644, 0o755, 0o4755, 0o400]))


def chmod_folder(root: Path, chance: random.Random) -> None:
    chance.choice(paths(root, folders=True)).chmod(chance.choice([0o700, 0o755, 0o2775, 0o1777]))


def link(root: Path, chance: random.Random) -> None:
    old, path = file(root, chance), place(root, chance)  # in this order: the file may be made now, at that very place
    if not os.path.lexists(path):
        os.link(old, path)


def symlink(root: Path, chance: random.Random) -> None:
    """A new one, or another target of one that is there."""
    found = [path for path in paths(root) if path.is_symlink()]
    path = chance.choice([*found, place(root, chance)])
    if path.is_symlink():
        path.unlink()
    if not os.path.lexists(path):
        path.symlink_to(os.fsdecode(chance.choice([b"a", b"..", b"nowhere", b"not\xffutf8"])))


def attribute(root: Path, chance: random.Random) -> None:
    if has_attributes(root):
        os.setxattr(file(root, chance), "user.note", content(chance, 5))


def file_to_folder(root: Path, chance: random.Random) -> None:
    path = file(root, chance)
    path.unlink()
    path.mkdir()


def folder_to_file(root: Path, chance: random.Random) -> None:
    if found := paths(root, folders=True)[1:]:
        path = chance.choice(found)
        shutil.rmtree(path)
        path.write_bytes(content(chance))


CHANGES: tuple[Change, ...] = (
    *(make_file,) * 4, make_folder, make_folder, write, write, write_unseen, write_unseen, replace_unseen, append,
    truncate, make_sparse, touch, delete, delete, delete_folder, move, move, move, swap, copy, chmod, chmod_folder,
    link, link, symlink, symlink, attribute, file_to_folder, folder_to_file,
)  # fmt: skip
