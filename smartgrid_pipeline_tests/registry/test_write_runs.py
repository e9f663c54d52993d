"""Trainings and reports: complete, found again, and never half there."""

import errno
from pathlib import Path

import matplotlib.figure
import numpy as np
import pandas as pd
import pytest

from smartgrid_pipeline.core.schema import RegistryError
from smartgrid_pipeline.registry import Registry
from smartgrid_pipeline_tests.registry.conftest import DATA, MONTH, Train, open_registry, verdict
from smartgrid_pipeline_tests.registry.tiny import TinyDetector, TinyForecaster, WordyForecaster


def figure() -> matplotlib.figure.Figure:
    drawn = matplotlib.figure.Figure(figsize=(2, 1))
    drawn.subplots().plot([0, 1])
    return drawn


def test_training__keeps_everything_and_is_found_by_its_tags(registry: Registry, train: Train) -> None:
    forecasts = pd.DataFrame({"origin": pd.date_range("2010-03-01", periods=3), "mean_kw": [0.1, 0.2, 0.3]})
    run = train(
        WordyForecaster(),
        figures={"loss": figure()},
        tables={"forecasts": forecasts},
        tags={"dagster.run_id": "d1"},
    )
    found = registry.find_training(model="tiny", month=MONTH, fingerprint="f1")
    assert found == run
    assert run.status == "FINISHED" and run.metrics["T1/rmse_kw"] == 0.25
    assert run.parameters["factor"] == "1.5" and run.parameters["size_129"] == "129"
    assert run.data == DATA and run.data.months == ("2010-01", "2010-02")
    assert run.tags["dagster.run_id"] == "d1" and len(run.tags["lock.sha256"]) == 64
    assert len(run.tags["git.commit"]) == 40
    pd.testing.assert_frame_equal(registry.table(run.run_id, "forecasts"), forecasts)
    kept = registry.connection.client.get_run(run.run_id)
    assert kept.inputs.dataset_inputs[0].dataset.digest == DATA.sha256[:32]
    artifacts = Path(kept.info.artifact_uri.removeprefix("file://"))
    assert sorted(path.name for path in artifacts.rglob("*.*")) == [
        "curves.csv", "curves.parquet", "forecasts.csv", "forecasts.parquet", "loss.png",
    ]  # fmt: skip


def test_curves__are_metric_histories_without_their_gaps(registry: Registry, train: Train) -> None:
    run = train(WordyForecaster())
    history = registry.connection.client.get_metric_history(run.run_id, "curve/validation")
    assert 5 < len(history) <= 200
    assert all(np.isfinite(point.value) and point.step % 10 == 0 for point in history)


def test_find_training__takes_no_other_run(registry: Registry, train: Train) -> None:
    for other in ({"model": "other"}, {"month": "2010-04"}, {"fingerprint": "f2"}):
        train(**other)
    assert registry.find_training(model="tiny", month=MONTH, fingerprint="f1") is None


def test_find_training__takes_the_newest_whose_files_are_there(registry: Registry, train: Train) -> None:
    first, second = train(), train()
    assert registry.find_training(model="tiny", month=MONTH, fingerprint="f1") == second
    for path in registry.model_directory(second.run_id).iterdir():
        path.unlink()
    assert registry.find_training(model="tiny", month=MONTH, fingerprint="f1") == first


def test_find_training__does_not_mix_up_meters(registry: Registry, train: Train, tmp_path: Path) -> None:
    train()
    neighbour = open_registry(tmp_path, "smartgrid-neighbour")
    assert neighbour.find_training(model="tiny", month=MONTH, fingerprint="f1") is None
    assert neighbour.runs() == [] and len(registry.runs(month=MONTH, model="tiny")) == 1


def test_load__gives_the_forecaster_back(registry: Registry, train: Train) -> None:
    run = train(TinyForecaster(2.25))
    assert registry.load(run.run_id).parameters()["factor"] == 2.25


def test_detector__is_found_by_its_tags_and_is_no_candidate(registry: Registry) -> None:
    run = registry.log_detector(TinyDetector(), month=MONTH, fingerprint="d1", data=DATA)
    assert registry.find_detector(month=MONTH, fingerprint="d1") == run
    assert [path.name for path in registry.detector_directory(run.run_id).iterdir()] == ["detector.json"]
    assert registry.find_training(model=run.model, month=MONTH, fingerprint="d1") is None
    with pytest.raises(RegistryError, match="not a training"):
        registry.register_challenger(run.run_id)


class DiskFull(TinyForecaster):
    def save(self, directory: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


class Broken(TinyForecaster):
    def save(self, directory: Path) -> None:
        raise ValueError("weights are gone")


class Interrupted(TinyForecaster):
    def save(self, directory: Path) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("forecaster", "says"), [(DiskFull(), "disk .* full"), (Broken(), "weights are gone")]
)
def test_failed_training__is_marked_failed_and_never_found(
    registry: Registry, train: Train, forecaster: TinyForecaster, says: str
) -> None:
    with pytest.raises(RegistryError, match=says):
        train(forecaster)
    [run] = registry.runs(month=MONTH)
    assert run.status == "FAILED"
    assert registry.find_training(model="tiny", month=MONTH, fingerprint="f1") is None
    models = registry.connection.client.search_logged_models([run.experiment_id])
    assert [str(model.status) for model in models] == ["FAILED"]
    with pytest.raises(RegistryError, match="logged no model"):
        registry.load(run.run_id)


def test_interrupted_training__is_marked_killed(registry: Registry, train: Train) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(Interrupted())
    assert [run.status for run in registry.runs()] == ["KILLED"]


def test_report__hands_its_verdicts_to_the_runs_it_judged(registry: Registry, train: Train) -> None:
    run, other = train(), train(model="other")
    for subject, passed in (("old", False), ("new", True)):
        registry.log_report(
            month=MONTH,
            compared=[run.run_id],
            html="<p>fine</p>",
            metrics={"tiny/T1.rmse_kw": 0.25},
            verdicts=[verdict("leakage", subject, passed)],
        )
    assert [each.subject for each in registry.evidence(run.run_id)] == ["new"]
    assert registry.evidence(other.run_id) == []


def test_unknown_run__is_named(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="no run 'feed'"):
        registry.load("feed")


def test_run_of_another_meter__is_refused(registry: Registry, train: Train, tmp_path: Path) -> None:
    run = train()
    with pytest.raises(RegistryError, match="not a training of smartgrid-neighbour"):
        open_registry(tmp_path, "smartgrid-neighbour").register_challenger(run.run_id)


def test_abandoned_runs__are_closed_and_no_others(registry: Registry, train: Train) -> None:
    client, experiment = registry.connection.client, registry.connection.experiment_id
    finished = train(tags={"dagster.run_id": "dead"})
    runs = {
        who: client.create_run(
            experiment, tags={"dagster.run_id": who} if who != "notebook" else {}
        ).info.run_id
        for who in ("dead", "alive", "notebook")
    }
    models = {who: client.create_logged_model(experiment, source_run_id=runs[who]).model_id for who in runs}
    assert registry.close_abandoned(lambda dagster_run: dagster_run == "dead") == [runs["dead"]]
    assert registry.close_abandoned(lambda dagster_run: dagster_run == "dead") == []
    statuses = {who: client.get_run(run_id).info.status for who, run_id in runs.items()}
    assert statuses == {"dead": "KILLED", "alive": "RUNNING", "notebook": "RUNNING"}
    left = {who: str(client.get_logged_model(model_id).status) for who, model_id in models.items()}
    assert left == {"dead": "FAILED", "alive": "PENDING", "notebook": "PENDING"}
    assert registry.run(finished.run_id).status == "FINISHED"
