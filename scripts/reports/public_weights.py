"""Writes the tables of docs/checkpoints.md again: ``python -m scripts.reports.public_weights``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from pem_edge.export.cli.public_list import group_title, license_title
from pem_edge.pem.public_weights import PublicWeights, listed
from scripts.reports.markdown import table

PAGE = Path(__file__).parents[2] / "docs" / "checkpoints.md"
START, END = "<!-- tables: python -m scripts.reports.public_weights -->\n", "<!-- end of tables -->\n"


def main() -> None:
    """Replace what is between the page's two marks."""
    page = PAGE.read_text()
    before, after = page.partition(START)[0], page.partition(END)[2]
    PAGE.write_text(f"{before}{START}{tables()}{END}{after}")


def tables() -> str:
    """Return all tables: of what each zoo has on the hub, then of each zoo's files."""
    zoos = groupby(listed(), lambda row: f"{row.zoo} on Hugging Face" if row.on_hub else row.zoo)
    return "".join(_section(title, list(rows)) for title, rows in zoos)


def _section(title: str, rows: list[PublicWeights]) -> str:
    """Return a table under a title, with the page of its figures and the license, which are those of every row."""
    first = rows[0]
    facts = f"{license_title(first)}; figures: [{first.zoo}]({first.source})."
    header = ("weights", "variant", "trained for", "figure", "classes")
    return f"\n### {title}\n\n{facts}\n\n{table(header, map(_row, rows))}\n\n"


def _row(weights: PublicWeights) -> Sequence[str]:
    name = f"[{weights.name}]({weights.url})"
    return (name, weights.variant, group_title(weights), str(weights.figure), f"`{weights.labels}`")


if __name__ == "__main__":
    main()
