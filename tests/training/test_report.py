"""The HTML report: complete, self-contained, and safe with hostile names."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toy_task import ToyOptions, run

from sketchfast.training import (
    Chart,
    Curve,
    CurveSection,
    Interval,
    LoopConfig,
    PictureSection,
    RetrievalGridSection,
    RetrievalRow,
    TableSection,
    TextSection,
    write_report,
)
from sketchfast.training.chart import line_chart, nice_ticks, smoothed

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>\'"&'


class Page(HTMLParser):
    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def picture(value: int) -> np.ndarray:
    return np.full((20, 30, 3), value, np.uint8)


def grid(name: str) -> RetrievalGridSection:
    row = RetrievalRow(picture(10), name, [picture(60), picture(200)], [True, False], [name, "cat 0.5"])
    return RetrievalGridSection(name, [row], note=name)


def test_report_of_a_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(LoopConfig(out=str(out), accelerator="cpu", epochs=3, log_every=1), ToyOptions())
    table = TableSection(
        "Scores", ["", "mAP"], [["trained", Interval(0.5, 0.4, 0.6)], ["chance", 0.25]], highlight=[0]
    )
    path = write_report(out, "Toy run", sections=[table, grid("dog"), PictureSection("Sheet", picture(99))])
    page = Page(path.read_text())
    assert path == out / "report.html"
    for words in ("Toy run", "0.5000 [0.4000, 0.6000]", "0.2500", "training: loss", "validation: accuracy"):
        assert words in page.text
    assert "loop.precision" in page.text and "versions.torch" in page.text  # config and versions
    frames = [tag["class"] for tag in page.all("figure") if "tile" in (tag.get("class") or "")]
    assert frames == ["tile ", "tile right", "tile wrong"]
    pixels = []
    for image in page.all("img"):
        head, data = (image["src"] or "").split(",", 1)
        assert head == "data:image/png;base64"
        pixels.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))[0, 0, 0])
    assert pixels == [10, 60, 200, 99]
    assert len(page.all("svg")) == 1 + 4  # a whisker; loss, learning rate, mean loss, accuracy


def test_report_refers_to_nothing_outside(tmp_path: Path) -> None:
    text = write_report(tmp_path, "t", [], [grid("dog")]).read_text()
    for tag, attributes in Page(text).tags:
        assert tag not in {"script", "link", "iframe", "object"}
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert not re.search(r"https?://|@import|url\(", text)


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"classes": [HOSTILE], HOSTILE: HOSTILE}))
    history: list[dict[str, Any]] = [{"kind": "train", "step": s, "epoch": 1, HOSTILE: s / 3} for s in (1, 2)]
    table = TableSection(HOSTILE, [HOSTILE], [[HOSTILE]], note=HOSTILE)
    curves = CurveSection(
        HOSTILE, [Chart(HOSTILE, [Curve(HOSTILE, [1, 2], [1, 2]), Curve("b", [1], [1])], HOSTILE)]
    )
    sections = [
        table,
        grid(HOSTILE),
        curves,
        TextSection(HOSTILE, HOSTILE),
        PictureSection(HOSTILE, picture(3)),
    ]
    page = Page(write_report(tmp_path, HOSTILE, history, sections, subtitle=HOSTILE).read_text())
    assert not page.all("script")
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert all((image["src"] or "").startswith("data:") for image in page.all("img"))
    assert page.text.count(HOSTILE) >= 12


def test_bad_sections_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'dog': 1 results, 2 right flags, 1 captions"):
        RetrievalRow(picture(1), "dog", [picture(1)], [True, False], ["a"])
    with pytest.raises(ValueError, match=r"'Scores'.*2 cells for 1 columns"):
        TableSection("Scores", ["a"], [[1, 2]])
    with pytest.raises(ValueError, match=r"uint8 \[H, W, 3\], found float64 \[4, 4\]"):
        write_report(tmp_path, "t", [], [PictureSection("p", np.zeros((4, 4)))])
    assert not (tmp_path / "report.html").exists()


def test_charts_survive_odd_values(seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(50):
        low = random.normal() * 10.0 ** random.integers(-6, 6)
        ticks = nice_ticks(low, high := low + abs(random.normal()) * 10.0 ** random.integers(-3, 6))
        slack = 1e-6 * (ticks[1] - ticks[0])
        assert ticks[0] <= low + slack and ticks[-1] >= high - slack and 2 <= len(ticks) <= 8
        whole = nice_ticks(
            first := float(random.integers(0, 40)), last := first + random.integers(0, 90), whole=True
        )
        assert whole[0] <= first and whole[-1] >= last and 2 <= len(whole) <= 8
        assert all(tick.is_integer() for tick in whole)
    nan = float("nan")
    epochs = line_chart([Curve("a", [1, 2, 3], [0.5, 0.6, 0.55])], y_range=(0.0, 1.0))
    shown = [text.split("</text>")[0] for text in epochs.split('class="tick"')[1:]]
    assert [text.split(">")[1] for text in shown] == ["0", "0.2", "0.4", "0.6", "0.8", "1", "1", "2", "3"]
    assert line_chart([Curve("a", [1, 2, 3, 4], [1.0, nan, 2.0, float("inf")])]).count("<polyline") == 2
    assert line_chart([Curve("a", [1, 2], [-1.0, 10.0])], log_y=True).count("<circle") == 1
    assert "no values" in line_chart([Curve("a", [1], [nan])])
    assert smoothed([3.0] * 5, 4) == pytest.approx([3.0] * 5)
