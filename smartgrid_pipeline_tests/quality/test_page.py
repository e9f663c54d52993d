from pathlib import Path

from smartgrid_pipeline import quality
from smartgrid_pipeline.core.schema import Finding, Verdict

GOOD = Verdict("readings", "2010-01", (Finding("rows are present", True, "9 rows", "at least 1 row"),))
BAD = Verdict("features", "2010-01", (Finding("a home's <size>", False, "0.001 kW", "at least 0.02 kW"),))


def test_page__shows_every_finding_and_loads_nothing(tmp_path: Path) -> None:
    page = quality.write_html([GOOD, BAD], tmp_path / "reports" / "quality.html").read_text(encoding="utf-8")
    assert "1 of 2 audits passed" in page
    assert "a home&#39;s &lt;size&gt;" in page and "at least 0.02 kW" in page
    assert "src=" not in page and "http" not in page
