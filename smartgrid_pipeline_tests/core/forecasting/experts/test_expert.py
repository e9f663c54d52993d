"""Experts and mixture: blind to the future, repeatable, legal on any meter, never one expert alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from smartgrid_pipeline.core.evaluation.audits.mixture import collapse_alarms, entropy
from smartgrid_pipeline.core.features.history import History
from smartgrid_pipeline.core.forecasting.experts.expert import EXPERTS
from smartgrid_pipeline.core.forecasting.forecaster import Forecast, Forecaster, Split, TrainingBudget
from smartgrid_pipeline.core.forecasting.leads import is_short
from smartgrid_pipeline.core.forecasting.mixture.mixture import MixtureOfExperts
from smartgrid_pipeline.core.schema import EXPERT_NAMES, LeadInterval, ModelError, Times, leads_for
from smartgrid_pipeline_tests.conftest import make_history

SMALL = TrainingBudget(max_steps=2, max_rows=200, max_trees=2)
MODELS = (*EXPERT_NAMES, "mixture_of_experts")
LEADS = (
    LeadInterval(0, 5),
    LeadInterval(0, 60),
    LeadInterval(1425, 1440),
    LeadInterval(1380, 1440),
    LeadInterval(0, 1440),
    LeadInterval(0, 10_080),
)
ORIGIN = np.datetime64("2010-01-24T18:35")

Fitted = dict[str, Forecaster]


def _fit(history: History, budget: TrainingBudget = SMALL) -> Fitted:
    split = Split.before(history.end, history)
    experts = {name: make(budget) for name, make in EXPERTS.items()}
    for expert in experts.values():
        expert.fit(history, split)
    mixture = MixtureOfExperts(budget)
    mixture.fit(history, split, list(experts.values()))
    return {**experts, "mixture_of_experts": mixture}


@pytest.fixture(scope="module")
def small_house() -> History:
    return make_history(24)


@pytest.fixture(scope="module")
def fitted(small_house: History) -> Fitted:
    return _fit(small_house)


@pytest.fixture(scope="module")
def mixture(fitted: Fitted) -> MixtureOfExperts:
    found = fitted["mixture_of_experts"]
    assert isinstance(found, MixtureOfExperts)
    return found


def _assert_same(left: Forecast, right: Forecast) -> None:
    np.testing.assert_array_equal(left.mean_kw, right.mean_kw)
    np.testing.assert_array_equal(left.quantiles_kw, right.quantiles_kw)


Spoil = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
SPOILS: dict[str, Spoil] = {
    "nan": lambda values: np.full_like(values, np.nan),
    "huge": lambda values: np.full_like(values, 1e9),
    "noise": lambda values: np.random.default_rng(1).normal(1, 9, values.shape).astype(np.float32),
}


def _spoiled(history: History, origin: np.datetime64, spoil: Spoil) -> History:
    """The same past, another future."""
    n = len(history.until(origin).starts)

    def after(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.concatenate([values[:n], spoil(values[n:])])

    return replace(
        history,
        power_kw=after(history.power_kw),
        observed_share=np.concatenate(
            [history.observed_share[:n], np.zeros_like(history.observed_share[n:])]
        ),
        features=after(history.features),
        within={channel: after(values) for channel, values in history.within.items()},
    )


@pytest.mark.parametrize("name", MODELS)
def test_forecast__does_not_depend_on_what_comes_after_the_origin(
    name: str, fitted: Fitted, small_house: History
) -> None:
    origins = np.array([ORIGIN])
    honest = fitted[name].predict(small_house, origins, LEADS)
    for spoil in SPOILS.values():
        _assert_same(honest, fitted[name].predict(_spoiled(small_house, ORIGIN, spoil), origins, LEADS))
    _assert_same(honest, fitted[name].predict(small_house.until(ORIGIN), origins, LEADS))


@pytest.mark.parametrize("name", MODELS)
def test_origin_inside_an_interval__sees_what_was_known_when_it_began(
    name: str, fitted: Fitted, small_house: History
) -> None:
    origins = np.array([ORIGIN + np.timedelta64(3, "m")])
    whole = fitted[name].predict(small_house, origins, LEADS)
    _assert_same(whole, fitted[name].predict(small_house.until(origins[0]), origins, LEADS))


@pytest.mark.parametrize("name", MODELS)
def test_forecast__reads_the_last_readings(name: str, fitted: Fitted, small_house: History) -> None:
    earlier = _spoiled(small_house, ORIGIN - np.timedelta64(15, "m"), SPOILS["noise"])
    honest = fitted[name].predict(small_house, np.array([ORIGIN]), LEADS)
    assert (honest.mean_kw != fitted[name].predict(earlier, np.array([ORIGIN]), LEADS).mean_kw).any()


@pytest.mark.parametrize("name", MODELS)
def test_forecast__is_legal_for_every_lead(name: str, fitted: Fitted, small_house: History) -> None:
    origins = small_house.origins(small_house.starts[0], small_house.end + 1, 24 * 60 + 7 * 60)
    forecast = fitted[name].predict(small_house, origins, leads_for(5))
    assert forecast.quantiles_kw.shape == (len(origins), 134, 9)
    assert np.isfinite(forecast.mean_kw).all() and (forecast.mean_kw >= 0).all()
    assert np.isfinite(forecast.quantiles_kw).all() and (forecast.quantiles_kw >= 0).all()
    assert (np.diff(forecast.quantiles_kw, axis=-1) >= 0).all()


@pytest.mark.parametrize("name", MODELS)
def test_saved_model__is_the_same_model(
    name: str, fitted: Fitted, small_house: History, tmp_path: Path
) -> None:
    fitted[name].save(tmp_path)
    loaded = type(fitted[name]).load(tmp_path)
    origins = small_house.origins(ORIGIN, small_house.end, 1440)
    _assert_same(
        fitted[name].predict(small_house, origins, LEADS), loaded.predict(small_house, origins, LEADS)
    )
    assert loaded.name == name
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} <= {
        ".json",
        ".npz",
    }


def test_fit__gives_the_same_bits_again(fitted: Fitted, small_house: History) -> None:
    origins = np.array([ORIGIN])
    again = _fit(small_house)
    for name in MODELS:
        _assert_same(
            fitted[name].predict(small_house, origins, LEADS),
            again[name].predict(small_house, origins, LEADS),
        )


def test_experts__differ_from_each_other(fitted: Fitted, small_house: History) -> None:
    means = [fitted[name].predict(small_house, np.array([ORIGIN]), LEADS).mean_kw for name in EXPERT_NAMES]
    assert len({mean.tobytes() for mean in means}) == len(EXPERT_NAMES)


def test_home_with_one_half_hourly_channel__is_forecast(home_history: History) -> None:
    models = _fit(home_history)
    origins = home_history.origins(home_history.starts[40], home_history.end, 3 * 1440 + 60)
    for model in models.values():
        forecast = model.predict(home_history, origins, leads_for(30))
        assert np.isfinite(forecast.quantiles_kw).all() and np.isfinite(forecast.mean_kw).all()


def test_late_meter__still_gets_a_forecast(fitted: Fitted, small_house: History) -> None:
    late = np.array([small_house.end + np.timedelta64(6, "h")], "datetime64[m]")
    too_late = np.array([small_house.end + np.timedelta64(9, "D")], "datetime64[m]")
    forecast = fitted["gru"].predict(small_house, late, LEADS)
    assert np.isfinite(forecast.quantiles_kw).all()
    with pytest.raises(ModelError, match="more than 8 days"):
        fitted["gru"].predict(small_house, too_late, LEADS)


@pytest.mark.parametrize("name", MODELS)
def test_model__refuses_another_kind_of_meter_and_no_fit(
    name: str, fitted: Fitted, home_history: History
) -> None:
    with pytest.raises(ModelError, match="fitted"):
        fitted[name].predict(home_history, home_history.starts[-1:], (LeadInterval(0, 60),))
    unfitted = EXPERTS[name](SMALL) if name in EXPERTS else MixtureOfExperts(SMALL)
    with pytest.raises(ModelError, match="not fitted"):
        unfitted.predict(home_history, home_history.starts[-1:], (LeadInterval(0, 60),))


def test_load__of_a_broken_directory__says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("{}")
    for model in (type(EXPERTS["gru"](SMALL)), MixtureOfExperts):
        with pytest.raises(ModelError, match=r"could be read from .* Train"):
            model.load(tmp_path)


def test_stored_expert__is_small_and_has_one_file_of_weights(
    fitted: Fitted, small_house: History, tmp_path: Path
) -> None:
    fitted["gru"].save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.npz"]
    weights = sum(v for k, v in fitted["gru"].parameters().items() if k.endswith("_horizon_weights"))
    with np.load(tmp_path / "model.npz") as arrays:
        types = {arrays[name].dtype for name in arrays.files}
        assert sum(arrays[name].size for name in arrays.files if arrays[name].dtype == np.float16) == weights
    assert types == {np.dtype(np.float16), np.dtype(np.float32)}
    assert (tmp_path / "model.npz").stat().st_size < 2.2 * weights


# --- the mixture ----------------------------------------------------------------------------------


def test_shares__sum_to_one_and_use_every_expert(mixture: MixtureOfExperts, small_house: History) -> None:
    origins = small_house.origins(ORIGIN, small_house.end, 360)
    shares = mixture.expert_weights(small_house, origins, LEADS)
    assert shares.shape == (len(origins), len(LEADS), 4)
    np.testing.assert_allclose(shares.sum(-1), 1, atol=1e-5)
    assert shares.min() > 0.05
    assert collapse_alarms(shares, mixture.expert_names) == []
    assert (entropy(shares) > 0.5).all()


class _Silent:
    """An expert that lost its mind: every number is NaN."""

    def __init__(self, expert: Forecaster) -> None:
        self.name = expert.name

    def predict(self, history: History, origins: Times, leads: tuple[LeadInterval, ...]) -> Forecast:
        shape = (len(origins), len(leads))
        return Forecast(
            origins, leads, np.full(shape, np.nan, np.float32), np.full((*shape, 9), np.nan, np.float32)
        )


def test_failed_expert__is_left_out_and_the_others_carry_on(
    mixture: MixtureOfExperts, small_house: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    origins = small_house.origins(ORIGIN, small_house.end, 720)
    experts = list(mixture.experts)
    for at in range(4):
        broken = [_Silent(expert) if i == at else expert for i, expert in enumerate(experts)]
        monkeypatch.setattr(mixture, "experts", broken)
        forecast = mixture.predict(small_house, origins, LEADS)
        assert np.isfinite(forecast.mean_kw).all() and np.isfinite(forecast.quantiles_kw).all()
        shares = mixture.expert_weights(small_house, origins, LEADS)
        assert (shares[..., at] == 0).all()
        np.testing.assert_allclose(shares.sum(-1), 1, atol=1e-5)
    monkeypatch.setattr(mixture, "experts", [_Silent(expert) for expert in experts])
    with pytest.raises(ModelError, match="Every expert failed"):
        mixture.predict(small_house, origins, LEADS)


def test_rows__of_the_comparison_come_from_one_asking(
    mixture: MixtureOfExperts, fitted: Fitted, small_house: History
) -> None:
    origins = small_house.origins(ORIGIN, small_house.end, 1440)
    rows = mixture.predict_all(small_house, origins, LEADS)
    assert set(rows) == {*MODELS, "equal_weights", "best_expert"}
    for name in MODELS:
        _assert_same(rows[name], fitted[name].predict(small_house, origins, LEADS))
    for name, row in mixture.ablations().items():
        _assert_same(rows[name], row.predict(small_house, origins, LEADS))
    even = np.mean([rows[name].mean_kw for name in EXPERT_NAMES], 0)
    unsupported = [j for j, lead in enumerate(LEADS) if is_short(lead)][2:]
    np.testing.assert_allclose(rows["equal_weights"].mean_kw[:, unsupported], even[:, unsupported], atol=1e-5)
