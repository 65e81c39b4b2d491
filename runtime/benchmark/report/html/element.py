"""HTML and SVG from nested calls, in which text can never become markup."""

from __future__ import annotations

from html import escape

_VOID = {"img", "link", "meta"}


class Markup(str):
    """Text that is HTML already. Made here alone."""


def tag(name: str, /, *children: str, **attributes: str | float | None) -> Markup:
    """Return an element. Children and attributes' values are escaped, unless they are Markup; None is left out.

    Attributes are written with ``_`` for ``-`` and may end in ``_``: ``class_="plot"``, ``aria_label="..."``.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value if isinstance(value, str) else f"{value:.5g}")}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>" if name in _VOID else f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: str) -> Markup:
    """Return elements and text one after another."""
    return Markup("".join(each if isinstance(each, Markup) else escape(each, quote=False) for each in children))


def style(css: str) -> Markup:
    """Return a style sheet of our own."""
    return Markup(f"<style>\n{css}\n</style>")


def embedded_json(data: bytes, identity: str) -> Markup:
    """Return JSON for machines that read the page; whatever it contains stays inside."""
    text = data.decode().replace("<", "\\u003c")
    return Markup(f'<script type="application/json" id="{escape(identity)}">{text}</script>')
