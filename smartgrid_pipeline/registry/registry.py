"""The registry of one meter's models: track, find, load, promote, roll back."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from smartgrid_pipeline.core.forecasting import newest
from smartgrid_pipeline.core.forecasting.forecaster import Forecaster
from smartgrid_pipeline.core.schema import Meter, RegistryError, Verdict
from smartgrid_pipeline.registry import model_files, read_runs, types, write_runs
from smartgrid_pipeline.registry.champion import promotion_checks
from smartgrid_pipeline.registry.champion.history import NO_CHAMPION, ChampionHistory
from smartgrid_pipeline.registry.connection import Connection
from smartgrid_pipeline.registry.types import (
    Champion,
    Detector,
    Example,
    LedgerRow,
    Promotion,
    TrackedRun,
    TrainingData,
)

DETECTOR_NAME = "anomaly_detector"


class Registry:
    """Tracks, stores, promotes and rolls back the models of one meter. Constructing it reads and writes
    nothing.

    ``loaders`` maps a model's name to the function that loads it from a folder; default are the project's own
    models. ``model_code`` is the script that logged models are loaded by. Every method raises RegistryError
    when database, disk or server fail; the champion is then unchanged. A lock held by another process is
    waited for ``lock_timeout_seconds``.
    """

    def __init__(
        self,
        tracking_uri: str,
        artifact_root: Path,
        model_name: str,
        experiment: str = "smartgrid",
        loaders: newest.Loaders | None = None,
        model_code: Path = model_files.DEFAULT_CODE,
        lock_timeout_seconds: float = 10.0,
    ) -> None:
        self.model_name = model_name
        self.connection = Connection(tracking_uri, artifact_root, experiment, lock_timeout_seconds)
        self._champions = ChampionHistory(self.connection, model_name)
        self._loaders = loaders
        self._model_code = model_code

    def prepare(self) -> None:
        """Make or migrate the database and make the experiment; safe when two processes start at once."""
        self.connection.prepare()

    # --- runs -------------------------------------------------------------------------------------

    def log_training(
        self,
        forecaster: Forecaster,
        *,
        model: str,
        month: str,
        fingerprint: str,
        data: TrainingData,
        example: Example,
        metrics: Mapping[str, float],
        figures: Mapping[str, Any] | None = None,
        tables: Mapping[str, pd.DataFrame] | None = None,
        verdicts: Sequence[Verdict] = (),
        tags: Mapping[str, str] | None = None,
    ) -> TrackedRun:
        """Track one training: parameters, metrics, curves, training data, plots, tables and the model.

        ``figures`` are matplotlib figures; ``tables`` are stored as Parquet. The run is FINISHED when all of
        it is stored. Otherwise the run is FAILED and RegistryError is raised.
        """
        contents = write_runs.RunContents(
            parameters=forecaster.parameters(), metrics=metrics, curves=forecaster.curves(),
            figures=figures or {}, tables=tables or {}, verdicts=verdicts, data=data,
        )  # fmt: skip
        note = {types.NOTE: f"{model}, trained on {data.describe()}, scored on {month}."}
        about = {**self._about(types.TRAINING, model, month, fingerprint), **data.to_tags(), **note}
        return self._log(
            {**(tags or {}), **about},
            contents,
            model_files.forecaster_model(model, forecaster, example, self._model_code),
        )

    def log_detector(
        self,
        detector: Detector,
        *,
        month: str,
        fingerprint: str,
        data: TrainingData,
        metrics: Mapping[str, float] | None = None,
        figures: Mapping[str, Any] | None = None,
        tables: Mapping[str, pd.DataFrame] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> TrackedRun:
        """Track one fit of the anomaly detector as ``log_training`` does; its model is
        stored as plain files.
        """
        contents = write_runs.RunContents(
            parameters=detector.parameters(), metrics=metrics or {}, figures=figures or {},
            tables=tables or {}, data=data,
        )  # fmt: skip
        about = {**self._about(types.DETECTOR, DETECTOR_NAME, month, fingerprint), **data.to_tags()}
        model = model_files.detector_model(DETECTOR_NAME, detector)
        return self._log({**(tags or {}), **about}, contents, model)

    def log_report(
        self,
        *,
        month: str,
        compared: Sequence[str],
        html: str,
        metrics: Mapping[str, float],
        verdicts: Sequence[Verdict],
        figures: Mapping[str, Any] | None = None,
        tables: Mapping[str, pd.DataFrame] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Track the comparison of a month with its verdicts, which ``evidence`` reads; returns the run id.

        ``compared`` are the run ids of the trainings compared. The report is tagged with the run that is
        champion at this moment, since ``promote`` demands that it still is. The ledger names that run also
        when its version was deleted.
        """
        current = self._champions.state().last
        contents = write_runs.RunContents(
            metrics=metrics, figures=figures or {}, tables=tables or {}, verdicts=verdicts, html=html
        )
        about = {
            types.RUN_TYPE: types.REPORT,
            types.MONTH: month,
            types.COMPARED_RUNS: " ".join(compared),
            types.COMPARED_WITH: current.run_id if current else NO_CHAMPION,
            types.REGISTERED_MODEL: self.model_name,
        }
        with write_runs.open_run(self.connection, f"report {month}", {**(tags or {}), **about}) as run_id:
            write_runs.write_contents(self.connection, run_id, contents)
        return run_id

    def run(self, run_id: str) -> TrackedRun:
        """One run by its id."""
        return read_runs.get(self.connection, run_id)

    def runs(
        self, *, month: str | None = None, model: str | None = None, run_type: str = types.TRAINING
    ) -> list[TrackedRun]:
        """Runs of this meter, newest first, failed and running ones included."""
        wanted = {types.MONTH: month, types.MODEL: model}
        tags = {key: value for key, value in wanted.items() if value is not None}
        return read_runs.find(
            self.connection, {types.RUN_TYPE: run_type, types.REGISTERED_MODEL: self.model_name, **tags}
        )

    def find_training(self, *, model: str, month: str, fingerprint: str) -> TrackedRun | None:
        """The newest FINISHED training with these tags whose model can still be read."""
        return self._find(self._about(types.TRAINING, model, month, fingerprint))

    def find_detector(self, *, month: str, fingerprint: str) -> TrackedRun | None:
        """The newest FINISHED fit of the anomaly detector with these tags that can still be read."""
        return self._find(self._about(types.DETECTOR, DETECTOR_NAME, month, fingerprint))

    def table(self, run_id: str, name: str) -> pd.DataFrame:
        """A table logged with a run."""
        return read_runs.read_table(self.connection, run_id, name)

    def load(self, run_id: str) -> Forecaster:
        """The forecaster of a training run, from its files; ModelUnusable if they are missing or damaged."""
        return model_files.load(self.connection, self._training(run_id), self._known_loaders())

    def fitted_on(self, run_id: str) -> Meter:
        """The meter that a training run was fitted on, as stored with its model."""
        return model_files.meter(self.connection, self._training(run_id))

    def model_directory(self, run_id: str) -> Path:
        """Folder of the files that the forecaster of a training run was saved to."""
        return model_files.directory(self.connection, self._training(run_id))

    def detector_directory(self, run_id: str) -> Path:
        """Folder of the files that the anomaly detector of a run was saved to."""
        return model_files.directory(self.connection, self._owned(run_id, types.DETECTOR))

    def close_abandoned(self, has_ended: Callable[[str], bool]) -> list[str]:
        """Close the runs that ended orchestrator runs left open; returns their ids."""
        return read_runs.close_abandoned(self.connection, has_ended)

    # --- champion and challenger ------------------------------------------------------------------

    def register_challenger(self, run_id: str) -> int:
        """Give a training run a version (once) and, unless it is champion, the alias ``challenger``."""
        return self._champions.register_challenger(self._training(run_id))

    def evidence(self, run_id: str) -> list[Verdict]:
        """The verdicts logged with a run and with the newest report that compared it; may be empty."""
        run = self.run(run_id)
        report = self._report_of(run)
        found = [run] if report is None else [run, report]
        return [
            verdict for each in found for verdict in read_runs.read_verdicts(self.connection, each.run_id)
        ]

    def promote(
        self,
        run_id: str,
        verdicts: Sequence[Verdict],
        *,
        reason: str,
        training_months: Sequence[str] = (),
        month: str | None = None,
        allow_rolled_back: bool = False,
    ) -> Promotion:
        """Make a training run the champion, if the evidence allows it.

        Demanded are passed verdicts "forecasts", "leakage" and "promotion" of this run, and "readings" and
        "features" of its month and of every month it was trained on (``training_months``, and those the run
        recorded). Its model must load, the champion it was compared with must still be champion, and a run
        that was rolled back needs ``allow_rolled_back``. Raises PromotionRefused with everything missing or
        failed. Promoting the champion again changes nothing and demands nothing.
        """
        run = self._training(run_id)
        if (existing := self._champions.existing_promotion(run)) is not None:
            return existing
        promotion_checks.demand(run, verdicts, training_months, month)
        self.load(run_id)
        return self._champions.promote(run, self._report_of(run), reason, allow_rolled_back)

    def rollback(self, reason: str) -> Promotion:
        """Make the previous champion champion again. Raises PromotionRefused when there is none."""
        back_to = self._champions.predecessor()
        self.load(back_to.run_id)
        return self._champions.rollback(self._training(back_to.run_id), back_to, reason)

    def champion(self) -> Champion | None:
        """The champion by the ledger; None before the first promotion.

        Raises ModelGone (a RegistryError) when the champion's version was deleted.
        """
        return self._champions.champion()

    def ledger(self, *, attempts: bool = False) -> list[LedgerRow]:
        """Every change of champion, oldest first; with ``attempts`` also rows that never took effect."""
        rows = self._champions.state().resolved_rows
        return [row for row in rows if attempts or row.status == "done"]

    # --- inside -----------------------------------------------------------------------------------

    def _about(self, run_type: str, model: str, month: str, fingerprint: str) -> dict[str, str]:
        return {
            types.RUN_TYPE: run_type,
            types.MODEL: model,
            types.MONTH: month,
            types.FINGERPRINT: fingerprint,
            types.REGISTERED_MODEL: self.model_name,
        }

    def _log(
        self, tags: Mapping[str, str], contents: write_runs.RunContents, model: model_files.NewModel
    ) -> TrackedRun:
        with (
            write_runs.open_run(self.connection, f"{model.name} {tags[types.MONTH]}", tags) as run_id,
            model_files.stored(self.connection, run_id, model) as model_id,
        ):
            write_runs.write_contents(self.connection, run_id, contents, model_id)
        return self.run(run_id)

    def _find(self, tags: Mapping[str, str]) -> TrackedRun | None:
        found = read_runs.find(self.connection, tags, status="FINISHED", limit=5)
        return next((run for run in found if model_files.is_complete(self.connection, run)), None)

    def _owned(self, run_id: str, run_type: str) -> TrackedRun:
        run = self.run(run_id)
        if run.run_type != run_type or run.tags.get(types.REGISTERED_MODEL) != self.model_name:
            found = run.tags.get(types.REGISTERED_MODEL, "no model of this system")
            raise RegistryError(
                f"Run {run_id} is a {run.run_type or 'foreign'} run of {found}, "
                f"not a {run_type} of {self.model_name}."
            )
        return run

    def _training(self, run_id: str) -> TrackedRun:
        return self._owned(run_id, types.TRAINING)

    def _report_of(self, run: TrackedRun) -> TrackedRun | None:
        reports = read_runs.find(
            self.connection,
            {types.RUN_TYPE: types.REPORT, types.REGISTERED_MODEL: self.model_name},
            status="FINISHED",
            compared=run.run_id,
            limit=1,
        )
        return next(iter(reports), None)

    def _known_loaders(self) -> newest.Loaders:
        if self._loaders is not None:
            return self._loaders
        from smartgrid_pipeline.core.forecasting.catalogue import loaders

        return loaders()
