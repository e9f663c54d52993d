import numpy as np
import pandas as pd

from smartgrid_pipeline.core.evaluation.audits.mape_forensics import ForensicRow, Forensics
from smartgrid_pipeline.core.evaluation.audits.mixture import SHARE_COLUMNS
from smartgrid_pipeline.core.evaluation.promotion.deployment import COST_COLUMNS
from smartgrid_pipeline.core.evaluation.report import plots


def test_training_curves__have_a_panel_per_model_and_a_line_per_loss() -> None:
    curve = pd.DataFrame({"step": [0, 1], "training": [2.0, 1.0], "validation": [2.0, np.nan]})
    figure = plots.training_curves({"gru": curve, "ridge": curve.iloc[:0]})
    drawn = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in drawn] == ["GRU"]
    assert len(drawn[0].lines) == 2


def test_gate_weights__are_stacked_to_a_hundred_per_cent() -> None:
    rows = [(h, lead, name, 0.5) for h in (0, 12) for lead in (5, 1440) for name in ("gru", "attention")]
    by_hour, by_lead = plots.expert_shares(pd.DataFrame(rows, columns=list(SHARE_COLUMNS))).axes
    assert by_hour.get_ylim() == (0, 100)
    assert max(bar.get_y() + bar.get_height() for bar in by_lead.patches) == 100


def test_deployment__leaves_out_what_is_far_worse_or_not_measured() -> None:
    rows = [(name, 1.0, latency, 1.0, 1.0, 1.0, 1.0, "") for name, latency in
            (("gru", 5.0), ("ridge", np.nan), ("persistence", 1.0))]  # fmt: skip
    costs = pd.DataFrame(rows, columns=list(COST_COLUMNS))
    composite = pd.Series({"gru": 0.8, "ridge": 0.9, "persistence": 1.9})
    figure = plots.deployment(costs, composite)
    assert figure is not None
    assert [text.get_text() for text in figure.axes[0].texts] == ["GRU · 5.0 ms · 1.00 MB"]
    assert plots.deployment(costs.iloc[1:], composite) is None


def test_mape_bars__stand_beside_the_claim() -> None:
    forensics = Forensics((ForensicRow("replaced task", "V, I", "random", 0.021, 2.1, 10, 5),))
    figure = plots.what_mape(forensics, {"T1": ("gru", 12.0)})
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["Claim of the replaced project", "V, I", "T1: GRU"]
    assert [round(bar.get_width(), 1) for bar in figure.axes[0].patches] == [31.1, 2.1, 12.0]
