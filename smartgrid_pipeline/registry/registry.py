"""The registry of one meter's models: track, find, load, promote, roll back."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from smartgrid_pipeline.core.models.forecaster import Forecaster
from smartgrid_pipeline.core.schema import PromotionRefused, RegistryError, Verdict
from smartgrid_pipeline.registry import lookup, models, promotion, tracking, upkeep, values
from smartgrid_pipeline.registry.connection import Connection, exclusive
from smartgrid_pipeline.registry.values import (
    Champion,
    DataIdentity,
    Detector,
    Example,
    LedgerRow,
    Promotion,
    TrackedRun,
)

DETECTOR_NAME = "anomaly_detector"


class Registry:
    """Tracking and registry of one meter's models. Nothing is read or written before the first call.

    ``loaders`` maps a model's name to what loads it from a folder; without it the project's own models are
    known. Every method raises RegistryError when database, disk or server fail, and then leaves the champion
    as it was. ``client`` and ``model_code`` are for tests.
    """

    def __init__(
        self,
        tracking_uri: str,
        artifact_root: Path,
        model_name: str,
        experiment: str = "smartgrid",
        loaders: Mapping[str, Callable[[Path], Forecaster]] | None = None,
        model_code: Path = models.DEFAULT_CODE,
        client: Any = None,
    ) -> None:
        self.model_name = model_name
        self.connection = Connection(tracking_uri, artifact_root, experiment, client)
        self._loaders = loaders
        self._model_code = model_code

    def prepare(self) -> None:
        """Make or migrate the database and make the experiment, once; safe when two processes start."""
        self.connection.prepare()

    # --- runs -------------------------------------------------------------------------------------

    def log_training(
        self,
        forecaster: Forecaster,
        *,
        model: str,
        month: str,
        fingerprint: str,
        data: DataIdentity,
        example: Example,
        metrics: Mapping[str, float],
        figures: Mapping[str, Any] | None = None,
        tables: Mapping[str, pd.DataFrame] | None = None,
        verdicts: Sequence[Verdict] = (),
        tags: Mapping[str, str] | None = None,
    ) -> TrackedRun:
        """Track one training: parameters, metrics, curves, data identity, plots, tables and the model.

        ``figures`` are matplotlib figures, ``tables`` are kept as Parquet. The run is FINISHED when all of it
        is stored; otherwise it is FAILED and RegistryError is raised.
        """
        contents = tracking.Contents(
            parameters=forecaster.parameters(), metrics=metrics, curves=forecaster.curves(),
            figures=figures or {}, tables=tables or {}, verdicts=verdicts, data=data,
        )  # fmt: skip
        about = {**self._about(values.TRAINING, model, month, fingerprint), **data.to_tags()}
        return self._log(
            {**(tags or {}), **about},
            contents,
            models.forecaster_model(model, forecaster, example, self._model_code),
        )

    def log_detector(
        self,
        detector: Detector,
        *,
        month: str,
        fingerprint: str,
        data: DataIdentity,
        metrics: Mapping[str, float] | None = None,
        figures: Mapping[str, Any] | None = None,
        tables: Mapping[str, pd.DataFrame] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> TrackedRun:
        """Track one fit of the anomaly detector, as ``log_training`` does; its model is files only."""
        contents = tracking.Contents(
            parameters=detector.parameters(), metrics=metrics or {}, figures=figures or {},
            tables=tables or {}, data=data,
        )  # fmt: skip
        about = {
            **self._about(values.DETECTOR, DETECTOR_NAME, month, fingerprint),
            **data.to_tags(),
        }
        model = models.detector_model(DETECTOR_NAME, detector)
        return self._log({**(tags or {}), **about}, contents, model)

    def log_report(
        self,
        *,
        month: str,
        judged: Sequence[str],
        html: str,
        metrics: Mapping[str, float],
        verdicts: Sequence[Verdict],
        figures: Mapping[str, Any] | None = None,
        tables: Mapping[str, pd.DataFrame] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Track the month's comparison with the verdicts that ``evidence`` finds; returns its run id.

        ``judged`` are the training runs that were compared.
        """
        contents = tracking.Contents(
            metrics=metrics, figures=figures or {}, tables=tables or {}, verdicts=verdicts, html=html
        )
        about = {
            values.KIND: values.REPORT,
            values.MONTH: month,
            values.JUDGED: " ".join(judged),
            values.REGISTERED_MODEL: self.model_name,
        }
        with tracking.open_run(self.connection, f"report {month}", {**(tags or {}), **about}) as run_id:
            tracking.write_contents(self.connection, run_id, contents)
        return run_id

    def run(self, run_id: str) -> TrackedRun:
        """One run by its id."""
        return lookup.get(self.connection, run_id)

    def runs(
        self, *, month: str | None = None, model: str | None = None, kind: str = values.TRAINING
    ) -> list[TrackedRun]:
        """Runs of this meter, newest first, failed and running ones included."""
        wanted = {values.MONTH: month, values.MODEL: model}
        tags = {key: value for key, value in wanted.items() if value is not None}
        return lookup.find(
            self.connection, {values.KIND: kind, values.REGISTERED_MODEL: self.model_name, **tags}
        )

    def find_training(self, *, model: str, month: str, fingerprint: str) -> TrackedRun | None:
        """The newest FINISHED training with these tags whose model can still be read."""
        return self._find(self._about(values.TRAINING, model, month, fingerprint))

    def find_detector(self, *, month: str, fingerprint: str) -> TrackedRun | None:
        """The newest FINISHED fit of the anomaly detector with these tags that can still be read."""
        return self._find(self._about(values.DETECTOR, DETECTOR_NAME, month, fingerprint))

    def table(self, run_id: str, name: str) -> pd.DataFrame:
        """A table logged with a run."""
        return lookup.read_table(self.connection, run_id, name)

    def load(self, run_id: str) -> Forecaster:
        """The forecaster of a training run, read by its own ``load``."""
        return models.load(self.connection, self._training(run_id), self._known_loaders())

    def model_directory(self, run_id: str) -> Path:
        """The files the forecaster of a training run was saved to."""
        return models.directory(self.connection, self._training(run_id))

    def detector_directory(self, run_id: str) -> Path:
        """The files the anomaly detector of a run was saved to."""
        return models.directory(self.connection, self._owned(run_id, values.DETECTOR))

    def reap(self, has_ended: Callable[[str], bool]) -> list[str]:
        """Close the runs left open by orchestrator runs that have ended; returns their ids."""
        return upkeep.reap(self.connection, has_ended)

    # --- champion and challenger ------------------------------------------------------------------

    def register_challenger(self, run_id: str) -> int:
        """Give a training run a version (once) and the alias ``challenger``; returns the version."""
        run = self._training(run_id)
        with self._lock("register the challenger"):
            version = models.register(self.connection, self.model_name, run)
            if promotion.read(self.connection, self.model_name).aliases.get(values.CHALLENGER) != version:
                with self.connection.guard("name the challenger") as client:
                    client.set_registered_model_alias(self.model_name, values.CHALLENGER, str(version))
        return version

    def evidence(self, run_id: str) -> list[Verdict]:
        """The verdicts kept with a run and with the newest report that judged it; maybe none."""
        run = self.run(run_id)
        report = self._report_of(run)
        found = [run] if report is None else [run, report]
        return [verdict for each in found for verdict in lookup.read_verdicts(self.connection, each.run_id)]

    def promote(
        self,
        run_id: str,
        verdicts: Sequence[Verdict],
        *,
        reason: str,
        training_months: Sequence[str] = (),
        month: str | None = None,
        despite_rollback: bool = False,
    ) -> Promotion:
        """Make a training run the champion, if the evidence allows it.

        Raises PromotionRefused, naming every missing or failed piece, unless "forecasts", "leakage" and
        "promotion" of this run and "readings" and "features" of its month and of every month it was trained
        on (as given, and as the run itself recorded) passed, and its model loads. A run that was rolled back
        needs ``despite_rollback``. Promoting the champion again changes nothing.
        """
        run = self._training(run_id)
        months = sorted({*training_months, *run.data.months, run.month})
        problems = promotion.missing_evidence(verdicts, run_id, months)
        if month is not None and month != run.month:
            problems.insert(0, f"the run is of month {run.month}, the evidence of {month}")
        if run.status != "FINISHED":
            problems.insert(0, f"the run is {run.status}, not FINISHED")
        if problems:
            raise PromotionRefused(_refusal(run, problems))
        self.load(run_id)
        report = self._report_of(run)
        with self._lock("promote"):
            state = promotion.repair(self.connection, self.model_name)
            undone = state.rolled_back(run_id)
            if undone is not None and not despite_rollback:
                why = f"rolled back on {undone.when:%Y-%m-%d} ({undone.reason}); only a person overrules that"
                raise PromotionRefused(_refusal(run, [why]))
            version = models.register(self.connection, self.model_name, run)
            if state.last is not None and state.last.to_version == version:
                return Promotion(state.last, changed=False)
            row = self._row(state, "promote", version, run, reason, (report or run).run_id)
            done = promotion.move(self.connection, self.model_name, row)
            promotion.clear_challenger(self.connection, self.model_name, version)
        return Promotion(done, changed=True)

    def rollback(self, reason: str) -> Promotion:
        """Bring the previous champion back. Raises RegistryError when there is none left."""
        with self._lock("roll back"):
            state = promotion.repair(self.connection, self.model_name)
            reigns = state.reigns
            before = [
                row
                for row in reigns[:-1]
                if row.to_version != reigns[-1].to_version
                and models.exists(self.connection, self.model_name, row.to_version)
            ]
            if not before:
                raise RegistryError(
                    f"{self.model_name} has no earlier champion to go back to: the ledger holds "
                    f"{len(reigns)} standing promotion(s). Promote another run instead."
                )
            run = self._training(before[-1].run_id)
            self.load(run.run_id)
            row = self._row(state, "rollback", before[-1].to_version, run, reason, before[-1].evidence_run)
            return Promotion(promotion.move(self.connection, self.model_name, row), changed=True)

    def champion(self) -> Champion | None:
        """Who is champion by the ledger; None before the first promotion.

        Raises RegistryError when the champion's version was deleted.
        """
        state = promotion.read(self.connection, self.model_name)
        row = state.last
        if row is None:
            return None
        if state.aliases.get(values.CHAMPION) != row.to_version:
            if not models.exists(self.connection, self.model_name, row.to_version):
                raise RegistryError(
                    f"The champion of {self.model_name}, version {row.to_version}, was deleted from the "
                    "registry. `smartgrid rollback` brings the previous one back."
                )
            promotion.log.warning(
                "The alias champion does not agree with the ledger; the ledger is followed."
            )
        return Champion(row.to_version, row.run_id, row.model, row.month, row.when)

    def ledger(self) -> list[LedgerRow]:
        """Every change of champion, oldest first; attempts that never took effect have status "void"."""
        return list(promotion.read(self.connection, self.model_name).settled)

    # --- inside -----------------------------------------------------------------------------------

    def _about(self, kind: str, model: str, month: str, fingerprint: str) -> dict[str, str]:
        return {
            values.KIND: kind,
            values.MODEL: model,
            values.MONTH: month,
            values.FINGERPRINT: fingerprint,
            values.REGISTERED_MODEL: self.model_name,
        }

    def _log(
        self, tags: Mapping[str, str], contents: tracking.Contents, model: models.NewModel
    ) -> TrackedRun:
        with tracking.open_run(self.connection, f"{model.name} {tags[values.MONTH]}", tags) as run_id:
            tracking.write_contents(self.connection, run_id, contents)
            models.log_model(self.connection, run_id, model)
        return self.run(run_id)

    def _find(self, tags: Mapping[str, str]) -> TrackedRun | None:
        found = lookup.find(self.connection, tags, status="FINISHED", limit=5)
        return next((run for run in found if models.is_complete(self.connection, run)), None)

    def _owned(self, run_id: str, kind: str) -> TrackedRun:
        run = self.run(run_id)
        if run.kind != kind or run.tags.get(values.REGISTERED_MODEL) != self.model_name:
            found = run.tags.get(values.REGISTERED_MODEL, "no model of this system")
            raise RegistryError(
                f"Run {run_id} is a {run.kind or 'foreign'} run of {found}, "
                f"not a {kind} of {self.model_name}."
            )
        return run

    def _training(self, run_id: str) -> TrackedRun:
        return self._owned(run_id, values.TRAINING)

    def _report_of(self, run: TrackedRun) -> TrackedRun | None:
        reports = lookup.find(
            self.connection, {values.KIND: values.REPORT}, status="FINISHED", judged=run.run_id, limit=1
        )
        return next(iter(reports), None)

    def _known_loaders(self) -> Mapping[str, Callable[[Path], Forecaster]]:
        if self._loaders is not None:
            return self._loaders
        from smartgrid_pipeline.core.models.catalogue import loaders

        return loaders()

    def _lock(self, doing: str) -> Any:
        return exclusive(self.connection.artifact_root / f".{self.model_name}.lock", doing)

    def _row(
        self, state: promotion.State, action: Any, version: int, run: TrackedRun, reason: str, evidence: str
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
            evidence_run=evidence,
            status="pending",
        )


def _refusal(run: TrackedRun, problems: list[str]) -> str:
    lines = "\n".join(f"- {problem}" for problem in problems)
    return (
        f"{run.model} of {run.month} (run {run.run_id}) is not promoted; the champion stays. Found:\n{lines}"
    )
