"""The page in a browser: the Report's figures, legible at every width, asking nothing of the network."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from pem_edge.runtime.benchmark.report import wording
from pem_edge.runtime.benchmark.report.html import colors, page
from pem_edge.runtime.benchmark.schema import Report, parse
from tests.helpers.browser import Browser, Page
from tests.runtime.benchmark.report import made_up
from tests.runtime.benchmark.report.made_up import HOSTILE, LONG

_TABLES = """
return [...document.querySelectorAll("table")].map(table => ({
  title: table.caption.innerText,
  owner: table.closest("article")?.querySelector("bdi").textContent ?? null,
  scopes: [...table.querySelectorAll("th")].map(cell => cell.scope),
  columns: [...table.tHead.rows[0].cells].map(cell => cell.textContent),
  rows: [...table.tBodies[0].rows].map(row => [...row.cells].map(cell => cell.textContent)),
}))"""
_PICTURES = """
return [...document.querySelectorAll("svg[role=img]")].map(svg => ({
  title: svg.querySelector(":scope > title")?.textContent ?? "",
  description: svg.querySelector(":scope > desc")?.textContent ?? "",
}))"""
_FAINT = """
const faint = [];
const light = text => {
  const channels = text.match(/[0-9.]+/g).slice(0, 3).map(c => c / 255);
  const [r, g, b] = channels.map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const paper = node => {
  for (; node; node = node.parentElement) {
    const color = getComputedStyle(node).backgroundColor;
    if (!color.startsWith("rgba(0, 0, 0, 0")) return color;
  }
};
for (const node of document.querySelectorAll("body *")) {
  const written = [...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim());
  if (!written || node.closest("script, title, desc, .dot")) continue;
  const style = getComputedStyle(node);
  const ink = node.ownerSVGElement ? style.fill : style.color;
  const [low, high] = [light(ink), light(paper(node))].sort((a, b) => a - b);
  if ((high + 0.05) / (low + 0.05) < 4.5) faint.push(`${node.textContent}: ${ink} on ${paper(node)}`);
}
return faint"""


def write(folder: Path, report: Report) -> Path:
    path = folder / "report.html"
    path.write_text(page.report(report), "utf-8")
    return path


@pytest.fixture
def opened(chromium: Browser, tmp_path: Path) -> Page:
    return chromium.open(write(tmp_path, made_up.report(3)))


def tables(opened: Page) -> dict[tuple[str, str | None], Any]:
    return {(table["title"], table["owner"]): table for table in opened.run(_TABLES)}


def number(text: str) -> float:
    """Return a figure as shown, in the Report's units."""
    value, _, unit = text.partition(" ")
    return float(value) * {"%": 0.01, "MiB": 2.0**20, "GiB": 2.0**30}.get(unit.removesuffix(" !"), 1.0)


def column(table: Any, name: str) -> list[float]:
    index = table["columns"].index(name)
    return [number(row[index]) for row in table["rows"]]


def every(owners: Iterable[object], path: str) -> list[Any]:
    """Return what each of them has there."""
    return [attrgetter(path)(owner) for owner in owners]


def near(*values: float | None) -> Any:
    """Equal to the last of the digits shown."""
    return pytest.approx([value for value in values if value is not None], rel=0.006, abs=0.0051)


def test_its_numbers_are_the_reports(opened: Page) -> None:
    report = made_up.report(3)
    shown = tables(opened)
    artifacts = report.artifacts
    totals = [each.stages["total"] for each in artifacts]
    latency = shown["Latency", None]
    assert [row[0] for row in latency["rows"]] == [
        f"{i}\N{NO-BREAK SPACE}{each.name}" for i, each in enumerate(artifacts, 1)
    ]
    for name in ("p50", "p90", "p99"):
        assert column(latency, name) == near(*(getattr(total, name) for total in totals))
    assert column(latency, "mean FPS") == near(*(each.fps for each in artifacts))
    against = [(row[latency["columns"].index("against 1")], row[-1]) for row in latency["rows"]]
    assert against == [("-", "-"), *(wording.against(c) for c in report.comparisons if c.stage == "total")]
    for stage in artifacts[0].stages:
        assert column(shown["Stages", None], stage) == near(*(each.stages[stage].p50 for each in artifacts))
    rates = [each.rate for each in artifacts if each.rate]
    close = shown["How close to the machine", None]
    assert column(close, "GMAC") == near(*(rate.macs / 1e9 for rate in rates))
    assert column(close, "GMAC/s") == near(*(rate.reached / 1e9 for rate in rates))
    assert column(close, "reached") == near(*(rate.fraction for rate in rates))
    assert column(close, "GB/s") == near(*((rate.bandwidth or 0) / 1e9 for rate in rates))
    start = shown["Memory and cold start", None]
    assert column(start, "host") == near(*every(artifacts, "memory.host"))
    assert column(start, "cold start") == near(*every(artifacts, "cold_start.total.p50"))
    assert column(shown["Accuracy", None], "PQ") == near(*every(artifacts, "accuracy.pq"))


def test_so_are_those_of_every_stage_scenario_and_layer(opened: Page) -> None:
    report = made_up.report(3)
    shown = tables(opened)
    for artifact in report.artifacts:
        rows = shown["Stages", artifact.name]
        assert [row[0] for row in rows["rows"]] == list(artifact.stages)
        for heading, field in (("p50", "p50"), ("p99", "p99"), ("mean", "mean"), ("least", "minimum"),
                               ("CV", "cv"), ("samples", "samples")):  # fmt: skip
            assert column(rows, heading) == near(*(getattr(times, field) for times in artifact.stages.values()))
    scenarios = [each.scenarios for each in report.artifacts]
    throughput, camera = shown["Throughput", None], shown["Camera", None]
    assert column(throughput, "FPS") == near(*every(scenarios, "multi_stream.fps"))
    assert column(throughput, "FPS of one") == near(*every(scenarios, "fps"))
    assert column(throughput, "FPS of all") == near(*every(scenarios, "offline.fps"))
    assert column(camera, "dropped") == near(*every(scenarios, "camera.dropped"))
    assert column(camera, "age p90") == near(*every(scenarios, "camera.age.p90"))
    for artifact in report.artifacts:
        for layer in artifact.profile.layers if artifact.profile else ():
            figures = f"{layer.type}: {wording.milliseconds(layer.milliseconds)} ms, {wording.percent(layer.share)}"
            limit = f"limit {wording.milliseconds(layer.limit or 0)} ms, {wording.percent(layer.fraction)} reached"
            assert f"{layer.name}\n{figures}; {limit}; {layer.bound}-bound" in opened.text


def test_charts_are_drawn_to_scale(opened: Page) -> None:
    report = made_up.report(3)
    widths = opened.run("""return [...document.querySelectorAll("rect.stage")].map(bar => [
        bar.querySelector("title").textContent, bar.getBoundingClientRect().width])""")
    means = [(stage, each.mean) for a in report.artifacts for stage, each in a.stages.items() if stage != "total"]
    assert [title for title, _ in widths] == [f"{stage} {wording.milliseconds(mean)} ms" for stage, mean in means]
    scale = widths[2][1] / means[2][1]
    assert [width for _, width in widths] == pytest.approx([scale * mean for _, mean in means], abs=2.5)
    bars = opened.run("""return [...document.querySelectorAll(".layers svg")].map(chart =>
        [...chart.querySelectorAll("rect")].map(bar => bar.getBoundingClientRect().width))""")
    layers = [layer for artifact in report.artifacts if artifact.profile for layer in artifact.profile.layers]
    assert [solid / whole for whole, solid in bars] == near(*(layer.fraction for layer in layers))
    dots = opened.run("""return [...document.querySelectorAll(".mark circle")].map(dot => {
        const box = dot.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]})""")
    assert [x for x, _ in dots] == sorted(x for x, _ in dots)
    assert [y for _, y in dots] == sorted((y for _, y in dots), reverse=True), "PQ grows upwards"


def test_both_axes_of_speed_and_accuracy_are_named(opened: Page) -> None:
    named = opened.run("return document.querySelector('.xy').textContent")
    assert "PQ, 100 at best" in named
    assert "milliseconds per image" in named


@pytest.mark.parametrize("width", [1280, 400])
def test_a_number_stays_beside_its_name(chromium: Browser, tmp_path: Path, width: int) -> None:
    shown = chromium.open(write(tmp_path, made_up.report(3, names=LONG[:3])), width)
    places = shown.run("""return [...document.querySelectorAll(".name")].map(name => {
        const [badge, text] = [name.querySelector(".badge"), name.querySelector("bdi")];
        const [left, right] = [badge.getBoundingClientRect(), text.getClientRects()[0]];
        return [right.left - left.right, right.top - left.bottom, text.getBoundingClientRect().width]})""")
    visible = [(beside, below) for beside, below, broad in places if broad > 1]
    assert len(visible) > 10
    assert all(0 <= beside < 12 and below < 0 for beside, below in visible)


def test_on_a_phone_the_comparison_needs_no_scrolling(chromium: Browser, tmp_path: Path) -> None:
    shown = chromium.open(write(tmp_path, made_up.report(3, names=LONG[:3])), 400)
    right = shown.run("""return [...document.querySelector(".scroll tbody").rows].map(
        row => row.cells[2].getBoundingClientRect().right)""")
    assert tables(shown)["Latency", None]["columns"][2] == "against 1"
    assert max(right) <= 400


def test_machines_find_the_report_in_the_page(opened: Page) -> None:
    embedded = opened.run("return document.getElementById('report').textContent")
    assert parse(embedded.encode(), "the page") == made_up.report(3)


@pytest.mark.parametrize("names", [LONG[:1], LONG[:3], LONG], ids=len)
@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_scrolls_sideways_and_nothing_is_asked_for(
    chromium: Browser, tmp_path: Path, names: list[str], width: int
) -> None:
    path = write(tmp_path, made_up.report(len(names), names=names))
    for dark in (False, True):
        shown = chromium.open(path, width, dark=dark)
        assert shown.overflow == 0
        assert shown.requests == []
        assert shown.run(_FAINT) == [], "WCAG 1.4.3: 4.5 to 1"
        paper = shown.screenshot()[0, 0]
        assert paper.max() < 50 if dark else paper.min() == 255


def test_without_scripts_or_colors_it_says_the_same(opened: Page) -> None:
    assert opened.run("return document.querySelectorAll('script:not([type=\"application/json\"])').length") == 0
    for picture in opened.run(_PICTURES):
        assert picture["title"]
        assert picture["description"]
    for table in opened.run(_TABLES):
        assert table["title"]
        assert table["scopes"] == ["col"] * len(table["columns"]) + ["row"] * len(table["rows"])
    order = opened.run("return [...document.querySelectorAll('h1, h2, h3')].map(heading => +heading.tagName[1])")
    assert order[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(order)), "no level is skipped"


def test_an_artifact_has_one_color_throughout(opened: Page) -> None:
    used = opened.run("""
        return [...document.querySelectorAll(".badge, .dot, .mark, .stage, .solid, .line")].map(mark => [
        mark.closest("[class*=artifact-]")?.getAttribute("class").match(/artifact-\\d/)[0] ?? null,
        getComputedStyle(mark).getPropertyValue("--artifact").trim()])""")
    found = {name: {color for each, color in used if each == name} for name, _ in used if name}
    assert found == {f"artifact-{i}": {color} for i, color in enumerate(colors.LIGHT[:3], 1)}


def test_hostile_names_stay_names(chromium: Browser, tmp_path: Path) -> None:
    names = [*HOSTILE, "</script></title><script>document.title='broken'</script>", "\u202ecod.exe", "q'\"><b>"]
    report = made_up.report(len(names), names=names)
    shown = chromium.open(write(tmp_path, report), 400)
    assert shown.run("return document.title") == f"Latency of {len(names)} artifacts"
    found = [row[0].split("\N{NO-BREAK SPACE}", 1)[1] for row in tables(shown)["Latency", None]["rows"]]
    assert found == [name.text for name in wording.names(report.artifacts)]
    assert shown.run("return document.querySelectorAll('img, b, script').length") == 1
    assert (shown.overflow, shown.requests) == (0, [])
    embedded = shown.run("return document.getElementById('report').textContent")
    assert [each.name for each in parse(embedded.encode(), "the page").artifacts] == names


def test_what_is_not_known_is_left_out(chromium: Browser, tmp_path: Path) -> None:
    bare = made_up.without(made_up.report(2), "accuracy", "rate", "memory", "cold_start", "profile")
    shown = chromium.open(write(tmp_path, bare))
    titles = {title for title, _ in tables(shown)}
    assert {"Latency", "Stages", "Machine", "Not known"} <= titles
    assert not titles & {"Accuracy", "How close to the machine", "Costliest layers"}


@pytest.mark.parametrize("dark", [False, True])
def test_an_edge_is_shaded_where_a_table_goes_on(chromium: Browser, tmp_path: Path, dark: bool) -> None:
    path = write(tmp_path, made_up.report(3))
    phone = chromium.open(path, 400, dark=dark)
    assert {"Latency", "Artifacts"} <= {title for title, edges in edges_of(phone).items() if edges == (False, True)}
    assert edges_of(phone)["Machine"] == (False, False), "all of it is to be seen"
    phone.run("document.querySelectorAll('.scroll').forEach(each => each.scrollLeft = 10000)")
    assert edges_of(phone)["Latency"] == (True, False)
    assert edges_of(chromium.open(path, 1280, dark=dark))["Latency"] == (False, False)


def edges_of(opened: Page) -> dict[str, tuple[bool, bool]]:
    """Return whether each table's left and right edge are shaded, next to its first line, by its title."""
    places = opened.run("""
return [...document.querySelectorAll(".scroll")].map(frame => {
  const box = frame.getBoundingClientRect();
  return [frame.ariaLabel, Math.ceil(box.left), Math.floor(box.right) - 1, Math.ceil(box.top + scrollY) + 2];
})""")
    pixels = opened.screenshot().astype(int)
    paper = pixels[2, 2]
    return {
        title: (bool((pixels[top, left] != paper).any()), bool((pixels[top, right] != paper).any()))
        for title, left, right, top in places
    }
