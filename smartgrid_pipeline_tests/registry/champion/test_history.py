"""Promotion demands evidence, happens whole or not at all, and is remembered."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from smartgrid_pipeline.core.schema import PromotionRefused, RegistryError
from smartgrid_pipeline.registry import Registry, TrackedRun
from smartgrid_pipeline_tests.registry.conftest import MONTH, Candidates, Train, evidence_for

ALIAS = "champion"


def alias(registry: Registry, name: str = ALIAS) -> int | None:
    found = registry.connection.client.get_registered_model(registry.model_name).aliases
    return int(found[name]) if name in found else None


def test_promote__moves_the_alias_and_writes_the_ledger(candidates: Candidates) -> None:
    registry = candidates.registry
    first, second, *_ = candidates.runs
    assert registry.champion() is None
    registry.promote(first.run_id, evidence_for(first), reason="first", month=MONTH)
    done = registry.promote(second.run_id, evidence_for(second), reason="better CRPS")
    champion = registry.champion()
    assert champion is not None and champion.version == alias(registry) == 2
    assert (champion.run_id, champion.model, champion.month) == (second.run_id, "tiny", MONTH)
    assert champion.since == done.row.when
    rows = [
        (row.action, row.from_version, row.to_version, row.reason, row.status) for row in registry.ledger()
    ]
    assert rows == [("promote", None, 1, "first", "done"), ("promote", 1, 2, "better CRPS", "done")]


def test_promote__names_every_missing_piece(candidates: Candidates) -> None:
    registry = candidates.registry
    run = candidates.runs[0]
    with pytest.raises(PromotionRefused) as refusal:
        registry.promote(run.run_id, [], reason="please", month="2010-04", training_months=["2009-12"])
    said = str(refusal.value)
    for piece in ("readings", "features", "forecasts", "leakage", "promotion", "2009-12", "2010-04"):
        assert piece in said


def test_promote__demands_the_months_the_run_was_trained_on(candidates: Candidates) -> None:
    """Whoever leaves training months out of the request does not leave them out of the demand."""
    registry = candidates.registry
    run = candidates.runs[0]
    given = [each for each in evidence_for(run) if (each.suite, each.subject) != ("readings", "2010-02")]
    with pytest.raises(PromotionRefused, match="2010-02"):
        registry.promote(run.run_id, given, reason="please", training_months=["2010-01"])


def test_promote__takes_no_evidence_about_another_run(candidates: Candidates) -> None:
    registry = candidates.registry
    run, other, *_ = candidates.runs
    with pytest.raises(PromotionRefused, match=other.run_id):
        registry.promote(run.run_id, evidence_for(other), reason="please")


def test_promote__refuses_a_model_that_does_not_load(registry: Registry, train: Train) -> None:
    run = train()
    (registry.model_directory(run.run_id) / "tiny.json").write_text("{}")
    with pytest.raises(RegistryError, match="does not load"):
        registry.promote(run.run_id, evidence_for(run), reason="please")
    assert registry.champion() is None


def test_promote_again__changes_nothing(candidates: Candidates) -> None:
    registry = candidates.registry
    run = candidates.runs[0]
    registry.promote(run.run_id, evidence_for(run), reason="first")
    again = registry.promote(run.run_id, evidence_for(run), reason="again")
    assert not again.changed and again.row.reason == "first" and len(registry.ledger()) == 1
    assert not registry.promote(run.run_id, [], reason="compared with itself").changed


def test_challenger__has_one_version_and_stops_being_one_when_promoted(candidates: Candidates) -> None:
    registry = candidates.registry
    run = candidates.runs[0]
    assert registry.register_challenger(run.run_id) == registry.register_challenger(run.run_id) == 1
    assert alias(registry, "challenger") == 1
    registry.promote(run.run_id, evidence_for(run), reason="first")
    assert alias(registry, "challenger") is None and alias(registry) == 1
    assert registry.register_challenger(run.run_id) == 1 and alias(registry, "challenger") is None


def test_evidence_of_the_report__is_enough_for_a_promotion(candidates: Candidates) -> None:
    registry = candidates.registry
    run = candidates.runs[0]
    with pytest.raises(PromotionRefused):
        registry.promote(run.run_id, registry.evidence(run.run_id), reason="from the command line")
    report = registry.log_report(
        month=MONTH, compared=[run.run_id], html="", metrics={}, verdicts=evidence_for(run)
    )
    done = registry.promote(run.run_id, registry.evidence(run.run_id), reason="from the command line")
    assert done.row.evidence_run == report


def test_rollback__walks_back_through_the_champions(candidates: Candidates) -> None:
    registry = candidates.registry
    runs = candidates.runs[:3]
    for run in runs:
        registry.promote(run.run_id, evidence_for(run), reason="better")
    assert registry.rollback("alarms").row.to_version == 2
    assert registry.rollback("more alarms").row.to_version == 1
    assert alias(registry) == 1
    with pytest.raises(PromotionRefused, match="no earlier champion"):
        registry.rollback("even more")
    assert [row.action for row in registry.ledger()] == ["promote"] * 3 + ["rollback"] * 2


def test_rolled_back_run__returns_only_on_purpose(candidates: Candidates) -> None:
    """A retry of the month must not undo what a person undid."""
    registry = candidates.registry
    first, second, *_ = candidates.runs
    for run in (first, second):
        registry.promote(run.run_id, evidence_for(run), reason="better")
    registry.rollback("it rang all night")
    with pytest.raises(PromotionRefused, match="it rang all night"):
        registry.promote(second.run_id, evidence_for(second), reason="retry")
    assert registry.promote(
        second.run_id, evidence_for(second), reason="fixed", allow_rolled_back=True
    ).changed
    assert registry.promote(first.run_id, evidence_for(first), reason="never rolled back").changed


class Crash(BaseException):
    """The process dies here."""


class DyingClient:
    """A client that dies at the n-th write of a promotion, before or after it takes effect."""

    def __init__(self, client: object, dies_at: int, takes_effect: bool) -> None:
        self._client, self._left, self._takes_effect = client, dies_at, takes_effect

    def __getattr__(self, name: str) -> object:
        found = getattr(self._client, name)
        if name not in ("set_registered_model_tag", "set_registered_model_alias"):
            return found

        def call(*arguments: object) -> None:
            self._left -= 1
            if self._left == 0 and not self._takes_effect:
                raise Crash
            found(*arguments)
            if self._left == 0:
                raise Crash

        return call


@pytest.mark.parametrize(("dies_at", "takes_effect"), [(1, False), (1, True), (2, True), (3, True)])
def test_promotion__is_whole_or_not_at_all_wherever_it_dies(
    candidates: Candidates, dies_at: int, takes_effect: bool
) -> None:
    registry = candidates.registry
    first, second, third, _ = candidates.runs
    registry.promote(first.run_id, evidence_for(first), reason="first")
    real = registry.connection.client
    registry.connection.client = DyingClient(real, dies_at, takes_effect)
    with pytest.raises(Crash):
        registry.promote(second.run_id, evidence_for(second), reason="second")
    registry.connection.client = real
    happened = dies_at >= 2
    champion = registry.champion()
    assert champion is not None and champion.version == alias(registry) == (2 if happened else 1)
    resolved_rows = registry.ledger(attempts=True)
    registry.promote(third.run_id, evidence_for(third), reason="third")
    assert registry.ledger(attempts=True)[:-1] == resolved_rows
    assert registry.ledger()[-1].from_version == champion.version
    assert [row.reason for row in registry.ledger()] == ["first", *(["second"] if happened else []), "third"]


def test_champion_changed_since_the_comparison__refuses(candidates: Candidates) -> None:
    """Two candidates judged against the same champion cannot both replace it."""
    registry = candidates.registry
    first, second, third, _ = candidates.runs
    registry.promote(first.run_id, evidence_for(first), reason="first")
    for run in (second, third):
        registry.log_report(
            month=MONTH, compared=[run.run_id], html="", metrics={}, verdicts=evidence_for(run)
        )
    assert registry.promote(second.run_id, registry.evidence(second.run_id), reason="better").changed
    with pytest.raises(PromotionRefused, match=f"compared with {first.run_id}.*champion is {second.run_id}"):
        registry.promote(third.run_id, registry.evidence(third.run_id), reason="better")
    assert not registry.promote(second.run_id, registry.evidence(second.run_id), reason="retry").changed


def test_promotions_at_once__follow_each_other(candidates: Candidates) -> None:
    registry = candidates.registry
    runs = candidates.runs

    def promote(run: TrackedRun) -> None:
        other = candidates.reopen()
        other.connection.lock_timeout_seconds = 20
        other.promote(run.run_id, evidence_for(run), reason=run.run_id)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(promote, run) for run in runs]:
            done.result()
    rows = registry.ledger(attempts=True)
    assert [row.number for row in rows] == [1, 2, 3, 4] and {row.status for row in rows} == {"done"}
    assert [row.from_version for row in rows] == [None, *(row.to_version for row in rows[:-1])]
    champion = registry.champion()
    assert champion is not None and champion.version == alias(registry) == rows[-1].to_version


def test_alias_moved_by_hand__is_not_believed_and_put_back(candidates: Candidates) -> None:
    registry = candidates.registry
    first, second, *_ = candidates.runs
    registry.promote(first.run_id, evidence_for(first), reason="first")
    version = registry.register_challenger(second.run_id)
    registry.connection.client.set_registered_model_alias(registry.model_name, ALIAS, str(version))
    champion = registry.champion()
    assert champion is not None and champion.version == 1
    assert not registry.promote(first.run_id, evidence_for(first), reason="again").changed
    assert alias(registry) == 1


def test_deleted_champion__is_said_and_rolled_back_from(candidates: Candidates) -> None:
    registry = candidates.registry
    for run in candidates.runs[:2]:
        registry.promote(run.run_id, evidence_for(run), reason="better")
    registry.connection.client.delete_model_version(registry.model_name, "2")
    with pytest.raises(RegistryError, match=r"version 2, was deleted.*rollback"):
        registry.champion()
    assert registry.rollback("deleted").row.to_version == alias(registry) == 1


def test_deleted_first_champion__can_be_promoted_again(candidates: Candidates) -> None:
    registry, run = candidates.registry, candidates.runs[0]
    registry.log_report(month=MONTH, compared=[run.run_id], html="", metrics={}, verdicts=evidence_for(run))
    registry.promote(run.run_id, registry.evidence(run.run_id), reason="first")
    registry.connection.client.delete_model_version(registry.model_name, "1")
    assert registry.promote(run.run_id, registry.evidence(run.run_id), reason="deleted by mistake").changed
    champion = registry.champion()
    assert champion is not None and champion.run_id == run.run_id
    assert champion.version == alias(registry)


def test_long_reasons__fit(candidates: Candidates) -> None:
    registry = candidates.registry
    run = candidates.runs[0]
    registry.promote(run.run_id, evidence_for(run), reason="é" * 20_000)
    assert len(registry.ledger()[0].reason) == 1_000
