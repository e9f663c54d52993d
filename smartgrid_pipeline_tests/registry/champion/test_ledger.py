from dataclasses import replace
from datetime import UTC, datetime, timedelta

from smartgrid_pipeline.registry.champion.ledger import State
from smartgrid_pipeline.registry.types import CHALLENGER, CHAMPION, LedgerRow

START = datetime(2010, 1, 1, tzinfo=UTC)
FIRST = LedgerRow(1, START, "promote", None, 1, "run1", "gru", "2010-01", "first", "report1", "done")
SECOND = LedgerRow(2, START, "promote", 1, 2, "run2", "gru", "2010-02", "better", "report2", "done")
BACK = LedgerRow(
    3, START + timedelta(days=1), "rollback", 2, 1, "run1", "gru", "2010-01", "worse", "r", "done"
)


def test_standing_promotions__lose_those_that_a_rollback_undid() -> None:
    state = State((FIRST, SECOND, BACK), {CHAMPION: 1})
    assert state.active_promotions == [FIRST] and state.last == BACK and state.is_sound
    assert state.rolled_back("run2") == BACK and state.rolled_back("run1") is None
    again = replace(SECOND, number=4, from_version=1)
    assert State((FIRST, SECOND, BACK, again), {CHAMPION: 2}).rolled_back("run2") is None


def test_pending_row__is_decided_by_the_alias() -> None:
    pending = replace(SECOND, status="pending")
    moved, stayed = State((FIRST, pending), {CHAMPION: 2}), State((FIRST, pending), {CHAMPION: 1})
    assert moved.last == SECOND and stayed.last == FIRST
    assert stayed.resolved_rows[-1].status == "void"
    assert not moved.is_sound and not stayed.is_sound


def test_state__is_unsound_when_an_alias_disagrees_with_the_ledger() -> None:
    assert State((), {}).is_sound and State((FIRST,), {CHAMPION: 1, CHALLENGER: 2}).is_sound
    assert not State((), {CHAMPION: 1}).is_sound
    assert not State((FIRST,), {CHAMPION: 1, CHALLENGER: 1}).is_sound


def test_row__comes_back_from_plain_data() -> None:
    assert LedgerRow.from_dict(BACK.to_dict()) == BACK
