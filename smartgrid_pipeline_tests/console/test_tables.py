"""What commands print for people."""

from io import StringIO
from typing import Any

from rich.console import Console

from smartgrid_pipeline.console import tables
from smartgrid_pipeline.core.schema import Finding, Verdict
from smartgrid_pipeline.settings import Settings


def printed(show: Any, *words: Any) -> str:
    text = StringIO()
    show(*words, Console(file=text, width=160))
    return text.getvalue()


def test_next_commands__name_the_meter_that_was_chosen() -> None:
    settings = Settings(source="my file.csv", meter="7")
    shown = printed(tables.print_where_to_look, settings, {"report": "/r.html", "month": "2010-04"})
    assert "smartgrid report --month 2010-04 --json --source 'my file.csv' --meter 7" in shown


def test_champion__without_one_says_what_makes_one() -> None:
    assert "smartgrid run" in printed(tables.print_champion, {"champion": None, "ledger": []})


def test_champion__is_shown_with_its_ledger() -> None:
    champion = {"model": "gru", "month": "2010-04", "version": 2, "since": "2010-05-02", "run_id": "r2"}
    row = {"when": "2010-05-02T03:00:00.000", "action": "promote", "model": "gru", "month": "2010-04",
           "from_version": None, "to_version": 2, "reason": "better"}  # fmt: skip
    shown = printed(tables.print_champion, {"champion": champion, "ledger": [row]})
    assert "gru trained for 2010-04, version 2" in shown and "better" in shown and "–" in shown


def test_report__ranks_by_crps_and_names_what_failed() -> None:
    numbers = {"rmse_kw": 0.5, "mae_kw": 0.3, "mape_percent": None, "wape_percent": 20.0, "coverage_80": 0.8,
               "r2": 0.4}  # fmt: skip
    models = {"ridge": {**numbers, "crps_kw": 0.3}, "gru": {**numbers, "crps_kw": 0.2}}
    finding = Finding("better", False, "+1 %", "lower")
    document = {
        "cards": {"T4": {"n_scored": 700, "models": models}},
        "verdict": Verdict("promotion", "gru", (finding,)).to_dict(),
        "challenger": "gru",
        "champion": None,
    }
    shown = printed(tables.print_report, document)
    assert shown.index("gru") < shown.index("ridge") and "–" in shown
    assert "did not pass the gate" in shown and "✗ better: found +1 %, demanded lower" in shown
    assert "none yet" in shown
