"""The committed result files become pages: formats of results and pages belong together."""

import json
from pathlib import Path

import pytest
from markupsafe import Markup

from benchmarks.accuracy.page import write_page as accuracy_page
from benchmarks.aggregation.page import write_page as aggregation_page
from benchmarks.anomaly.page import write_page as anomaly_page
from benchmarks.shared.page import Section, write_page
from benchmarks.shared.result_head import ROOT
from benchmarks.shared.tables import Table, marked, shown

HEAD = {"command": "make <it>", "commit": "0123456789abcdef", "created": "2026-01-01", "cpu_seconds": 90.0}


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        (
            "accuracy",
            accuracy_page,
            ["missed by", "Mixture of experts", "Weights of the experts"],
        ),
        ("aggregation", aggregation_page, ["mape percent", "simulated"]),
        ("anomaly", anomaly_page, ["Test year 2010", "twin recall", "Fault types", "Sizes of bypass"]),
    ],
)
def test_page__shows_the_committed_result(name: str, write: object, words: list[str], tmp_path: Path) -> None:
    result = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())
    for window in set(result.get("cards", {})) - {"T2", "T4"}:  # two of seven windows: quicker
        del result["cards"][window]
    write(result, tmp_path / "page.html")  # type: ignore[operator]
    page = (tmp_path / "page.html").read_text()
    assert "<svg" in page and "</html>" in page
    assert [word for word in words if word not in page] == []
    assert "&lt;span" not in page and "&lt;svg" not in page  # nothing ready-made was escaped


def test_page__escapes_text_and_keeps_markup(tmp_path: Path) -> None:
    table = Table(["<a>"], [["<b>"], [marked("<c>", "hit")], [0.12345], [None], [7]])
    write_page(
        tmp_path / "page.html", "T & U", "Why.", HEAD, [Section("S", ["<d>", Markup("<svg></svg>"), table])]
    )
    page = (tmp_path / "page.html").read_text()
    for escaped in (
        "T &amp; U",
        "make &lt;it&gt;",
        "<th>&lt;a&gt;</th>",
        "<td>&lt;b&gt;</td>",
        "<p>&lt;d&gt;</p>",
    ):
        assert escaped in page
    assert "<span class='hit'>&lt;c&gt;</span>" in page and "\n<svg></svg>" in page
    assert "<td>0.123</td>" in page and "<td>–</td>" in page and "<td>7</td>" in page
    assert "2 min of CPU" in page


def test_table__from_records_has_a_column_per_key() -> None:
    records = [{"two_words": 1, "b": 2.0}, {"two_words": 3, "b": None}]
    assert Table.from_records(records) == Table(["two words", "b"], [[1, 2.0], [3, None]])
    assert Table.from_records(records, ("b",)) == Table(["b"], [[2.0], [None]])
    assert Table.from_records([]) == Table([], [])
    assert shown(2.0) == "2.000"
