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
    """Return all tables: of the hub, then of each zoo."""
    on_hub = [weights for weights in listed() if weights.converted_from is not None]
    files = [weights for weights in listed() if weights.converted_from is None]
    zoos = (_section(zoo, list(group)) for zoo, group in groupby(files, lambda row: row.zoo))
    return "".join([_section("Hugging Face", on_hub), *zoos])


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
