"""The champion of one registered model and how it changes: challenger, promotion, rollback, one at a time."""

import logging
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Literal

from smartgrid_pipeline.core.schema import PromotionRefused
from smartgrid_pipeline.registry import model_files
from smartgrid_pipeline.registry.champion import ledger, promotion_checks
from smartgrid_pipeline.registry.connection import Connection, exclusive
from smartgrid_pipeline.registry.types import (
    CHALLENGER,
    CHAMPION,
    COMPARED_WITH,
    Champion,
    LedgerRow,
    Promotion,
    TrackedRun,
)

NO_CHAMPION = "nobody"
"""Value of COMPARED_WITH when there was no champion to compare with."""

log = logging.getLogger(__name__)


class ChampionHistory:
    """Reads and changes the champion and the challenger of one registered model.

    Every change holds a file lock; the ledger records it together with the move of the alias.
    """

    def __init__(self, connection: Connection, model_name: str) -> None:
        self.connection = connection
        self.model_name = model_name

    def state(self) -> ledger.State:
        """Ledger rows and aliases at this moment."""
        return ledger.read(self.connection, self.model_name)

    def champion(self) -> Champion | None:
        """The champion by the ledger, or None. Raises ModelGone when its version was deleted."""
        state = self.state()
        row = state.last
        if row is None:
            return None
        if state.aliases.get(CHAMPION) != row.to_version:
            if not model_files.exists(self.connection, self.model_name, row.to_version):
                raise model_files.ModelGone(
                    f"The champion of {self.model_name}, version {row.to_version}, was deleted from the "
                    f"registry. `smartgrid rollback` brings the previous one back, `smartgrid promote "
                    f"{row.run_id}` this one."
                )
            log.warning("The alias champion does not agree with the ledger; the ledger is followed.")
        return Champion(row.to_version, row.run_id, row.model, row.month, row.when)

    def register_challenger(self, run: TrackedRun) -> int:
        """Give a run a version (once) and, unless it is champion, the alias ``challenger``."""
        with self._lock("register the challenger"):
            version = model_files.register(self.connection, self.model_name, run)
            state = self.state()
            is_champion = state.last is not None and state.last.to_version == version
            if not is_champion and state.aliases.get(CHALLENGER) != version:
                with self.connection.guard("name the challenger") as client:
                    client.set_registered_model_alias(self.model_name, CHALLENGER, str(version))
        return version

    def existing_promotion(self, run: TrackedRun) -> Promotion | None:
        """The promotion that made this run champion, or None when it is not champion or
        the alias disagrees.
        """
        state = self.state()
        row = state.last
        if row is None or row.run_id != run.run_id or state.aliases.get(CHAMPION) != row.to_version:
            return None
        return Promotion(row, changed=False)

    def promote(
        self, run: TrackedRun, report: TrackedRun | None, reason: str, allow_rolled_back: bool
    ) -> Promotion:
        """Make a run champion after ``promotion_checks.demand``; ``report`` is the run with the verdicts.

        Raises PromotionRefused when the run was rolled back before, unless ``allow_rolled_back``, or when the
        champion it was compared with is no longer champion.
        """
        with self._lock("promote"):
            state = ledger.repair(self.connection, self.model_name)
            current = state.last if CHAMPION in state.aliases else None  # its version may be deleted
            if current is not None and current.run_id == run.run_id:
                return Promotion(current, changed=False)
            problems = _blocking_reasons(state, current, run, report, allow_rolled_back)
            if problems:
                raise promotion_checks.refusal(run, problems)
            version = model_files.register(self.connection, self.model_name, run)
            row = _row(state, "promote", version, run, reason, (report or run).run_id)
            done = ledger.move(self.connection, self.model_name, row)
            if state.aliases.get(CHALLENGER) == version:
                with self.connection.guard("clear the challenger") as client:
                    client.delete_registered_model_alias(self.model_name, CHALLENGER)
        return Promotion(done, changed=True)

    def predecessor(self) -> LedgerRow:
        """The promotion that a rollback would restore. Raises PromotionRefused when there is none."""
        active_promotions = self.state().active_promotions
        for row in reversed(active_promotions[:-1]):
            if row.to_version != active_promotions[-1].to_version and model_files.exists(
                self.connection, self.model_name, row.to_version
            ):
                return row
        raise PromotionRefused(
            f"{self.model_name} has no earlier champion to go back to: the ledger holds "
            f"{len(active_promotions)} promotion(s) that no rollback undid. Promote another run instead."
        )

    def rollback(self, run: TrackedRun, back_to: LedgerRow, reason: str) -> Promotion:
        """Make the predecessor ``back_to`` champion again.

        Raises PromotionRefused when another process changed the champion meanwhile.
        """
        with self._lock("roll back"):
            state = ledger.repair(self.connection, self.model_name)
            if self.predecessor() != back_to:
                raise PromotionRefused("The champion changed while rolling back; look again, then decide.")
            row = _row(state, "rollback", back_to.to_version, run, reason, back_to.evidence_run)
            return Promotion(ledger.move(self.connection, self.model_name, row), changed=True)

    def _lock(self, action: str) -> AbstractContextManager[None]:
        path = self.connection.artifact_root / f".{self.model_name}.lock"
        return exclusive(path, action, self.connection.lock_timeout_seconds)


def _blocking_reasons(
    state: ledger.State,
    current: LedgerRow | None,
    run: TrackedRun,
    report: TrackedRun | None,
    allow_rolled_back: bool,
) -> list[str]:
    """Reasons against a promotion that only the ledger and the report show, one line each."""
    problems = []
    undone = state.rolled_back(run.run_id)
    if undone is not None and not allow_rolled_back:
        problems.append(
            f"rolled back on {undone.when:%Y-%m-%d} ({undone.reason}); only a person overrules that"
        )
    if report is None or current is None:
        return problems
    compared_with = report.tags.get(COMPARED_WITH, NO_CHAMPION)
    if compared_with != current.run_id:
        problems.append(
            f"it was compared with {compared_with}, but champion is {current.run_id}: make the report again"
        )
    return problems


def _row(
    state: ledger.State,
    action: Literal["promote", "rollback"],
    version: int,
    run: TrackedRun,
    reason: str,
    evidence_run: str,
) -> LedgerRow:
    return LedgerRow(
        number=len(state.rows) + 1,
        when=datetime.now(UTC),
        action=action,
        from_version=state.last.to_version if state.last else None,
        to_version=version,
        run_id=run.run_id,
        model=run.model,
        month=run.month,
        reason=reason,
        evidence_run=evidence_run,
        status="pending",
    )
