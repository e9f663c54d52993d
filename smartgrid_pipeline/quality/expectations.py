"""Expectations on frames → findings, checked by Great Expectations; no other module imports that library."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pandas as pd

from smartgrid_pipeline.core.schema import Finding

PER_FRAME = ("ExpectTableRowCountToBeBetween", "ExpectTableColumnsToMatchSet")
"""Expectations on a frame as a whole; they cannot be checked on several frames joined."""


@dataclass(frozen=True)
class Expected:
    """One expectation: its class in Great Expectations with arguments, and its wording for people."""

    expectation: str
    arguments: dict[str, Any]
    rule: str
    demanded: str
    severity: str = "critical"

    @property
    def is_share(self) -> bool:
        """Whether it demands a share of the values, not every value."""
        return float(self.arguments.get("mostly", 1.0)) < 1


@dataclass
class Suite:
    """A growing list of expectations; every suite begins with the presence of rows and columns."""

    columns: Sequence[str]
    expected: list[Expected] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.expected += [
            Expected(
                "ExpectTableRowCountToBeBetween", {"min_value": 1}, "rows are present", "at least 1 row"
            ),
            Expected(
                "ExpectTableColumnsToMatchSet",
                {"column_set": list(self.columns), "exact_match": False},
                "columns are present",
                ", ".join(self.columns) if len(self.columns) < 12 else f"all {len(self.columns)} columns",
            ),
        ]

    def between(
        self,
        column: str,
        low: float | None,
        high: float | None,
        unit: str = "",
        mostly: float = 1.0,
        severity: str = "critical",
    ) -> None:
        """Expect values between two bounds, inclusive; missing values are ignored."""
        limits = (
            f"{'-∞' if low is None else f'{low:g}'} to {'∞' if high is None else f'{high:g}'} {unit}".strip()
        )
        share = "every value" if mostly == 1 else f"{100 * mostly:g} % of the values"
        arguments = {"column": column, "min_value": low, "max_value": high, "mostly": mostly}
        self.expected.append(
            Expected(
                "ExpectColumnValuesToBeBetween",
                arguments,
                f"{column} is within bounds",
                f"{share} {limits}",
                severity,
            )
        )

    def known(self, column: str, mostly: float, severity: str = "critical") -> None:
        """Expect at least the share ``mostly`` of the values to be present."""
        self.expected.append(
            Expected(
                "ExpectColumnValuesToNotBeNull",
                {"column": column, "mostly": mostly},
                f"{column} is known",
                f"at least {100 * mostly:g} % of the values",
                severity,
            )
        )

    def add(self, expectation: str, arguments: dict[str, Any], rule: str, demanded: str) -> None:
        """Expect anything else, by the name of a Great Expectations class; critical."""
        self.expected.append(Expected(expectation, arguments, rule, demanded))


@lru_cache(maxsize=1)
def _batch_definition() -> Any:
    """A batch definition in a context without files; made once, since making it is slower than using it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the import touches modules that Python deprecates
        import great_expectations as gx
        import great_expectations.expectations
        from great_expectations.data_context.types.base import ProgressBarsConfig

        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    return (
        context.data_sources.add_pandas("frames")
        .add_dataframe_asset("frame")
        .add_batch_definition_whole_dataframe("whole")
    )


def check_each(frames: Mapping[str, pd.DataFrame], suite: Suite) -> dict[str, list[Finding]]:
    """Findings of a suite on each of several frames, by their names, in the suite's order.

    Expectations on every value are checked once, on all frames joined: what holds there holds in each frame,
    and one pass over four years costs as much as one over a month. Expectations on shares are checked on each
    frame. So is everything once a check of the joined frames failed, to find the frame it failed in.
    """
    own = [i for i, one in enumerate(suite.expected) if one.expectation in PER_FRAME or one.is_share]
    common = [i for i in range(len(suite.expected)) if i not in own]
    if len(frames) > 1 and all(set(suite.columns) <= set(frame) for frame in frames.values()):
        joined = _findings(pd.concat(frames.values()), [suite.expected[i] for i in common])
        if all(finding.passed for finding in joined):
            each = {
                name: _findings(frame, [suite.expected[i] for i in own]) for name, frame in frames.items()
            }
            return {name: _ordered([*common, *own], [*joined, *found]) for name, found in each.items()}
    return {name: _findings(frame, suite.expected) for name, frame in frames.items()}


def check(frame: pd.DataFrame, suite: Suite) -> list[Finding]:
    """Findings of a suite on one frame, in the suite's order."""
    return _findings(frame, suite.expected)


def _ordered(places: Sequence[int], findings: Sequence[Finding]) -> list[Finding]:
    return [finding for _, finding in sorted(zip(places, findings, strict=True), key=lambda pair: pair[0])]


def _findings(frame: pd.DataFrame, expected: Sequence[Expected]) -> list[Finding]:
    """Findings in the order of the expectations; an expectation that cannot be evaluated fails."""
    definition = _batch_definition()
    import great_expectations as gx
    import great_expectations.expectations as classes

    made = [
        getattr(classes, each.expectation)(**each.arguments, meta={"number": number})
        for number, each in enumerate(expected)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        batch = definition.get_batch({"dataframe": frame})
        outcome = batch.validate(gx.ExpectationSuite(name="audit", expectations=made), result_format="BASIC")
    results = {result.expectation_config.meta["number"]: result for result in outcome.results}
    return [_finding(each, results.get(number)) for number, each in enumerate(expected)]


def _finding(expected: Expected, result: Any) -> Finding:
    passed = result is not None and bool(result.success)
    return Finding(expected.rule, passed, _found(result), expected.demanded, expected.severity)


def _found(result: Any) -> str:
    """The result of an expectation in a few words, for people."""
    if result is None:
        return "no result: the expectation was not evaluated"
    problem = result.exception_info or {}
    messages = [problem, *(value for value in problem.values() if isinstance(value, dict))]
    message = next((m["exception_message"] for m in messages if m.get("exception_message")), None)
    if message:
        return f"not evaluated: {str(message).splitlines()[0]}"
    details = result.result
    if "unexpected_count" in details:
        values = details.get("partial_unexpected_list", [])[:20]
        examples = ", ".join(dict.fromkeys(_shown(value) for value in values))
        count, total = details["unexpected_count"], details["element_count"]
        share = f"{count} of {total} rows against it ({100 * count / max(total, 1):.1f} %)"
        return f"{share}, such as {', '.join(examples.split(', ')[:3])}" if examples else share
    missing = ((details.get("details") or {}).get("mismatched") or {}).get("missing")
    if missing:
        return f"missing: {', '.join(missing)}"
    observed = details.get("observed_value")
    return f"{observed} rows" if isinstance(observed, int) else "all of them"


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
