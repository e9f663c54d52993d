"""Change the champion: promote the month's challenger, or a challenger of any month by its run id."""

from typing import TYPE_CHECKING

from smartgrid_pipeline.core.schema import PromotionRefused
from smartgrid_pipeline.orchestration.flows.month_summary import read_summary
from smartgrid_pipeline.orchestration.resources import Resources

if TYPE_CHECKING:
    from smartgrid_pipeline.registry import Promotion


def promote_challenger(resources: Resources, month: str, reason: str) -> "tuple[Promotion | None, str]":
    """Promote the month's challenger when its evidence allows it; otherwise the champion stays.

    Returns the promotion, None when it was refused, and the outcome in a sentence. A refusal is an outcome,
    not an error. Raises RegistryError, and DataError when the month has no comparison.
    """
    run_id, registry = read_summary(resources, month)["challenger_run_id"], resources.registry
    registry.register_challenger(run_id)
    try:
        promotion = registry.promote(run_id, registry.evidence(run_id), month=month, reason=reason)
    except PromotionRefused as refusal:
        return None, str(refusal)
    row = promotion.row
    outcome = "is champion now" if promotion.changed else "was champion already"
    return promotion, f"{row.model} of {row.month} {outcome} (version {row.to_version})"


def promote_run(resources: Resources, run_id: str, reason: str) -> "Promotion":
    """Promote a run that was a month's challenger and passed the gate, also one that was rolled back since.

    The verdicts are those logged with the run and with its month's report. A candidate that was never
    challenger has no verdict of suite "promotion". Raises PromotionRefused; champion and challenger are then
    as they were.
    """
    registry = resources.registry
    return registry.promote(run_id, registry.evidence(run_id), reason=reason, allow_rolled_back=True)
