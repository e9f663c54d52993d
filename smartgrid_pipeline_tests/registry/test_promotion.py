"""Promotion demands evidence, happens whole or not at all, and is remembered."""

import pytest

from smartgrid_pipeline.core.schema import PromotionRefused, RegistryError, Verdict
from smartgrid_pipeline.registry import Registry, about_run
from smartgrid_pipeline_tests.registry.conftest import MONTH, Train, evidence_for, verdict

ALIAS = "champion"


def alias(registry: Registry, name: str = ALIAS) -> int | None:
    found = registry.connection.client.get_registered_model(registry.model_name).aliases
    return int(found[name]) if name in found else None


def test_promote__moves_the_alias_and_writes_the_ledger(registry: Registry, train: Train) -> None:
    first, second = train(), train()
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


def without(verdicts: list[Verdict], suite: str) -> list[Verdict]:
    return [each for each in verdicts if each.suite != suite]


@pytest.mark.parametrize("suite", ["readings", "features", "forecasts", "leakage", "promotion"])
@pytest.mark.parametrize("spoiled", ["missing", "failed", "empty"])
def test_promote__refuses_without_each_piece(
    registry: Registry, train: Train, suite: str, spoiled: str
) -> None:
    run = train()
    good = evidence_for(run)
    subject = next(each.subject for each in good if each.suite == suite)
    bad = {
        "missing": [],
        "failed": [*good, verdict(suite, subject, False)],
        "empty": [Verdict(suite, subject)],
    }
    given = bad[spoiled] if spoiled == "failed" else without(good, suite) + bad[spoiled]
    with pytest.raises(PromotionRefused, match=suite):
        registry.promote(run.run_id, given, reason="please")
    assert registry.champion() is None and registry.ledger() == []


def test_promote__names_every_missing_piece(registry: Registry, train: Train) -> None:
    run = train()
    with pytest.raises(PromotionRefused) as refusal:
        registry.promote(run.run_id, [], reason="please", month="2010-04", training_months=["2009-12"])
    said = str(refusal.value)
    for piece in ("readings", "features", "forecasts", "leakage", "promotion", "2009-12", "2010-04"):
        assert piece in said


def test_promote__demands_the_months_the_run_was_trained_on(registry: Registry, train: Train) -> None:
    """Whoever leaves training months out of the request does not leave them out of the demand."""
    run = train()
    given = [each for each in evidence_for(run) if (each.suite, each.subject) != ("readings", "2010-02")]
    with pytest.raises(PromotionRefused, match="2010-02"):
        registry.promote(run.run_id, given, reason="please", training_months=["2010-01"])


def test_promote__takes_no_evidence_about_another_run(registry: Registry, train: Train) -> None:
    run, other = train(), train()
    with pytest.raises(PromotionRefused, match=other.run_id):
        registry.promote(run.run_id, evidence_for(other), reason="please")


def test_promote__refuses_a_model_that_does_not_load(registry: Registry, train: Train) -> None:
    run = train()
    (registry.model_directory(run.run_id) / "tiny.json").write_text("{}")
    with pytest.raises(RegistryError, match="does not load"):
        registry.promote(run.run_id, evidence_for(run), reason="please")
    assert registry.champion() is None


def test_promote_again__changes_nothing(registry: Registry, train: Train) -> None:
    run = train()
    registry.promote(run.run_id, evidence_for(run), reason="first")
    again = registry.promote(run.run_id, evidence_for(run), reason="again")
    assert not again.changed and again.row.reason == "first" and len(registry.ledger()) == 1


def test_challenger__has_one_version_and_stops_being_one_when_promoted(
    registry: Registry, train: Train
) -> None:
    run = train()
    assert registry.register_challenger(run.run_id) == registry.register_challenger(run.run_id) == 1
    assert alias(registry, "challenger") == 1
    registry.promote(run.run_id, evidence_for(run), reason="first")
    assert alias(registry, "challenger") is None and alias(registry) == 1


def test_evidence_of_the_report__is_enough_for_a_promotion(registry: Registry, train: Train) -> None:
    run = train()
    with pytest.raises(PromotionRefused):
        registry.promote(run.run_id, registry.evidence(run.run_id), reason="from the command line")
    report = registry.log_report(
        month=MONTH, judged=[run.run_id], html="", metrics={}, verdicts=evidence_for(run)
    )
    done = registry.promote(run.run_id, registry.evidence(run.run_id), reason="from the command line")
    assert done.row.evidence_run == report


def test_rollback__walks_back_through_the_champions(registry: Registry, train: Train) -> None:
    runs = [train(), train(), train()]
    for run in runs:
        registry.promote(run.run_id, evidence_for(run), reason="better")
    assert registry.rollback("alarms").row.to_version == 2
    assert registry.rollback("more alarms").row.to_version == 1
    assert alias(registry) == 1
    with pytest.raises(RegistryError, match="no earlier champion"):
        registry.rollback("even more")
    assert [row.action for row in registry.ledger()] == ["promote"] * 3 + ["rollback"] * 2


def test_rolled_back_run__returns_only_on_purpose(registry: Registry, train: Train) -> None:
    """A retry of the month must not undo what a person undid."""
    first, second = train(), train()
    for run in (first, second):
        registry.promote(run.run_id, evidence_for(run), reason="better")
    registry.rollback("it rang all night")
    with pytest.raises(PromotionRefused, match="it rang all night"):
        registry.promote(second.run_id, evidence_for(second), reason="retry")
    assert registry.promote(
        second.run_id, evidence_for(second), reason="fixed", despite_rollback=True
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


@pytest.mark.parametrize("takes_effect", [False, True])
@pytest.mark.parametrize("dies_at", [1, 2, 3])
def test_promotion__is_whole_or_not_at_all_wherever_it_dies(
    registry: Registry, train: Train, dies_at: int, takes_effect: bool
) -> None:
    first, second, third = train(), train(), train()
    registry.promote(first.run_id, evidence_for(first), reason="first")
    real = registry.connection.client
    registry.connection.client = DyingClient(real, dies_at, takes_effect)
    with pytest.raises(Crash):
        registry.promote(second.run_id, evidence_for(second), reason="second")
    registry.connection.client = real
    happened = (dies_at, takes_effect) in [(2, True), (3, False), (3, True)]
    champion = registry.champion()
    assert champion is not None and champion.version == alias(registry) == (2 if happened else 1)
    settled = registry.ledger()
    registry.promote(third.run_id, evidence_for(third), reason="third")
    assert registry.ledger()[:-1] == settled
    assert registry.ledger()[-1].from_version == champion.version
    assert [row.status for row in registry.ledger() if row.reason == "second"] in (
        ["done"] if happened else ["void"],
        [] if not happened else ["done"],
    )


def test_alias_moved_by_hand__is_not_believed_and_put_back(registry: Registry, train: Train) -> None:
    first, second = train(), train()
    registry.promote(first.run_id, evidence_for(first), reason="first")
    version = registry.register_challenger(second.run_id)
    registry.connection.client.set_registered_model_alias(registry.model_name, ALIAS, str(version))
    champion = registry.champion()
    assert champion is not None and champion.version == 1
    assert not registry.promote(first.run_id, evidence_for(first), reason="again").changed
    assert alias(registry) == 1


def test_deleted_champion__is_said_and_rolled_back_from(registry: Registry, train: Train) -> None:
    for run in (train(), train()):
        registry.promote(run.run_id, evidence_for(run), reason="better")
    registry.connection.client.delete_model_version(registry.model_name, "2")
    with pytest.raises(RegistryError, match=r"version 2, was deleted.*rollback"):
        registry.champion()
    assert registry.rollback("deleted").row.to_version == alias(registry) == 1


def test_long_reasons__fit(registry: Registry, train: Train) -> None:
    run = train()
    registry.promote(run.run_id, evidence_for(run), reason="é" * 20_000)
    assert len(registry.ledger()[0].reason) == 1_000


def test_about_run__keeps_the_verdict(registry: Registry) -> None:
    stamped = about_run(verdict("leakage", "ridge", False), "abc")
    assert stamped.subject == "ridge abc" and not stamped.passed
