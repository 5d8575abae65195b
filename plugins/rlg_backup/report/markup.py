"""Building HTML so that a text can never become a tag: only ``element`` makes markup."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_VOID = frozenset({"rect", "path", "circle", "br"})
# Codes that some viewers act on, or that HTML does not allow; what a name may hold is not our choice.
_UNPRINTABLE = dict.fromkeys((*range(9), 11, 12, *range(14, 32), *range(127, 160), *range(55296, 57344)), "�")
_UNPRINTABLE |= dict.fromkeys((*range(8234, 8239), *range(8294, 8298)), "�")  # they turn text around


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | Markup | None | Iterable["Child"]


def element(name: str, /, *children: Child, **attributes: str | int | float | None) -> Markup:
    """One element; texts are escaped, ``None`` is left out, iterables are laid flat.

    ``cls`` stands for ``class``, and an underscore for a hyphen in other attribute names.
    """
    pairs = {"class" if key == "cls" else key.replace("_", "-"): value for key, value in attributes.items()}
    listed = "".join(f' {key}="{_text(str(value))}"' for key, value in pairs.items() if value is not None)
    if name in _VOID:
        return Markup(f"<{name}{listed}/>")
    return Markup(f"<{name}{listed}>{joined(children)}</{name}>")


def joined(children: Child) -> Markup:
    """Children one after the other."""
    if children is None:
        return Markup("")
    if isinstance(children, Markup):
        return children
    if isinstance(children, str):
        return Markup(_text(children))
    return Markup("".join(joined(child) for child in children))


def _text(text: str) -> str:
    return escape(text.translate(_UNPRINTABLE), quote=True)
