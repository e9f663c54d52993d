"""Who is champion: the evidence a promotion demands, and the ledger of every change.

The ledger is kept as tags of the registered model (``ledger.000001`` …, one JSON row each), because that is
where the alias lives: one database, one backup, visible in the MLflow UI, the same over a tracking server.
MLflow offers no transaction across a tag and an alias, so the two become one act like this: the row is
written ``pending``, the alias moves (the moment that counts), the row becomes ``done``. Whoever reads a
pending row asks the alias what happened: it moved there, so the row counts; it did not, so the row is void.
The next writer makes that permanent. An alias moved by any other hand has no row: readers keep to the ledger
and the next writer puts the alias back.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from smartgrid_pipeline.core.schema import Verdict
from smartgrid_pipeline.registry import models
from smartgrid_pipeline.registry.connection import Connection
from smartgrid_pipeline.registry.values import CHALLENGER, CHAMPION, MONTH_SUITES, RUN_SUITES, LedgerRow

PREFIX = "ledger."
REASON_CHARACTERS = 1_000
"""A tag of a registered model holds 5,000 characters; a row with a reason this long fits."""

log = logging.getLogger(__name__)


def about_run(verdict: Verdict, run_id: str) -> Verdict:
    """The same verdict with the run it is about named in its subject, as RUN_SUITES must be."""
    return replace(verdict, subject=f"{verdict.subject} {run_id}")


def missing_evidence(verdicts: Iterable[Verdict], run_id: str, months: Sequence[str]) -> list[str]:
    """Why these verdicts do not allow a promotion, one line per missing or failed piece; empty when they do.

    Demanded: RUN_SUITES whose subject names the run, MONTH_SUITES of each month, all passed; and no failed
    verdict of any other suite about the run or these months.
    """
    about: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in verdicts:
        subject = run_id if run_id in verdict.subject.split() else verdict.subject
        about.setdefault((verdict.suite, subject), []).append(verdict)
    problems = []
    for suite in MONTH_SUITES:
        absent = [month for month in months if (suite, month) not in about]
        if absent:
            listed = ", ".join(absent[:6]) + (f" … {absent[-1]}" if len(absent) > 6 else "")
            problems.append(f"no verdict of suite {suite!r} for {len(absent)} months: {listed}")
    for suite in RUN_SUITES:
        if (suite, run_id) not in about:
            others = sorted(subject for other, subject in about if other == suite)[:3]
            found = f"; found one about {', '.join(others)}" if others else ""
            problems.append(f"no verdict of suite {suite!r} about this run{found}")
    subjects = {run_id, *months}
    failed = [
        verdict
        for (_, subject), found in about.items()
        if subject in subjects
        for verdict in found
        if not verdict.passed
    ]
    return problems + [verdict.summary() for verdict in failed]


@dataclass(frozen=True)
class State:
    """The registered model as it stands: ledger rows in order, and the version under each alias."""

    rows: tuple[LedgerRow, ...]
    aliases: dict[str, int]

    @property
    def settled(self) -> tuple[LedgerRow, ...]:
        """The rows with every pending one decided by the alias: done when it moved there, else void."""
        moved_to = self.aliases.get(CHAMPION)
        return tuple(
            row
            if row.status != "pending"
            else replace(
                row, status="done" if row is self.rows[-1] and row.to_version == moved_to else "void"
            )
            for row in self.rows
        )

    @property
    def reigns(self) -> list[LedgerRow]:
        """The promotions still standing, the last one being that of the champion; a rollback removes some."""
        stack: list[LedgerRow] = []
        for row in self.settled:
            if row.status != "done":
                continue
            if row.action == "promote":
                stack.append(row)
            else:
                while stack and stack[-1].to_version != row.to_version:
                    stack.pop()
        return stack

    @property
    def last(self) -> LedgerRow | None:
        """The row that made the champion, promotion or rollback; None when there is no champion."""
        return next((row for row in reversed(self.settled) if row.status == "done"), None)

    def rolled_back(self, run_id: str) -> LedgerRow | None:
        """The rollback that removed this run, unless it was promoted again after it."""
        versions = {row.to_version for row in self.rows if row.run_id == run_id}
        for row in reversed(self.settled):
            if row.status == "done" and row.action == "promote" and row.run_id == run_id:
                return None
            if row.status == "done" and row.action == "rollback" and row.from_version in versions:
                return row
        return None


def read(connection: Connection, model_name: str) -> State:
    """The state of a registered model; empty when nothing was registered yet."""
    with connection.guard("read the ledger", writing=False) as client:
        found = client.search_registered_models(f"name = '{model_name}'")
    if not found:
        return State((), {})
    tags, aliases = found[0].tags, found[0].aliases
    rows = [LedgerRow.from_dict(json.loads(tags[key])) for key in sorted(tags) if key.startswith(PREFIX)]
    return State(tuple(rows), {alias: int(version) for alias, version in aliases.items()})


def repair(connection: Connection, model_name: str) -> State:
    """Make pending rows permanent and put a champion alias moved by another hand back; under the lock."""
    state = read(connection, model_name)
    with connection.guard("repair the ledger") as client:
        for before, after in zip(state.rows, state.settled, strict=True):
            if before.status != after.status:
                log.warning("Ledger row %d was interrupted: now %s.", after.number, after.status)
                _write(client, model_name, after)
        last, alias = state.last, state.aliases.get(CHAMPION)
        if last is not None and alias != last.to_version:
            if models.exists(connection, model_name, last.to_version):
                log.warning("Alias champion was on %s, the ledger says %d.", alias, last.to_version)
                client.set_registered_model_alias(model_name, CHAMPION, str(last.to_version))
        elif last is None and alias is not None:
            log.warning("Alias champion was on version %d without any promotion: removed.", alias)
            client.delete_registered_model_alias(model_name, CHAMPION)
    return read(connection, model_name)


def move(connection: Connection, model_name: str, row: LedgerRow) -> LedgerRow:
    """Move the champion alias and write its row in one act; call it under the lock, after ``repair``.

    A failure or a kill at any point leaves the old champion and a void row, or the new one and its row.
    """
    row = replace(row, reason=row.reason[:REASON_CHARACTERS], status="pending")
    with connection.guard(f"move the champion to version {row.to_version}") as client:
        _write(client, model_name, row)
        client.set_registered_model_alias(model_name, CHAMPION, str(row.to_version))
        done = replace(row, status="done")
        _write(client, model_name, done)
    return done


def clear_challenger(connection: Connection, model_name: str, version: int) -> None:
    """A challenger that became champion is no challenger any more."""
    if read(connection, model_name).aliases.get(CHALLENGER) == version:
        with connection.guard("clear the challenger") as client:
            client.delete_registered_model_alias(model_name, CHALLENGER)


def _write(client: Any, model_name: str, row: LedgerRow) -> None:
    client.set_registered_model_tag(model_name, f"{PREFIX}{row.number:06d}", json.dumps(row.to_dict()))
