"""The ledger: one row for every change of champion, kept together with the alias ``champion``.

Rows are tags of the registered model (``ledger.000001`` …, one JSON row each), since the alias is kept there
too: one database, one backup, visible in the MLflow UI, the same through a tracking server.

MLflow has no transaction over a tag and an alias. So a row is written ``pending``, then the alias moves, then
the row becomes ``done``; the move of the alias is what counts. A reader decides a pending row by the alias:
the row is done when the alias points to its version, else void. The next writer makes that permanent. A move
of the alias by other means has no row: readers follow the ledger, and the next writer moves the alias back.
"""

import json
import logging
from dataclasses import dataclass, replace
from typing import Any

from smartgrid_pipeline.registry import model_files
from smartgrid_pipeline.registry.connection import Connection
from smartgrid_pipeline.registry.types import CHALLENGER, CHAMPION, LedgerRow

PREFIX = "ledger."
REASON_CHARACTERS = 1_000
"""A tag of a registered model holds 5,000 characters; a row with a reason this long fits."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class State:
    """A registered model at one moment: its ledger rows in order, and the version under each alias."""

    rows: tuple[LedgerRow, ...]
    aliases: dict[str, int]

    @property
    def resolved_rows(self) -> tuple[LedgerRow, ...]:
        """The rows; a pending one is done when the alias points to its version, else void."""
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
    def active_promotions(self) -> list[LedgerRow]:
        """Promotions not undone by a rollback, oldest first; the last one made the present champion."""
        stack: list[LedgerRow] = []
        for row in self.resolved_rows:
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
        """The promotion or rollback that made the present champion; None when there is no champion."""
        return next((row for row in reversed(self.resolved_rows) if row.status == "done"), None)

    @property
    def is_sound(self) -> bool:
        """Whether no row is pending and the aliases agree with the ledger."""
        champion = None if self.last is None else self.last.to_version
        challenger = self.aliases.get(CHALLENGER)
        return (
            self.rows == self.resolved_rows
            and self.aliases.get(CHAMPION) == champion
            and (champion is None or challenger != champion)
        )

    def rolled_back(self, run_id: str) -> LedgerRow | None:
        """The rollback that removed this run, or None when there was none or it was promoted again since."""
        versions = {row.to_version for row in self.rows if row.run_id == run_id}
        for row in reversed(self.resolved_rows):
            if row.status == "done" and row.action == "promote" and row.run_id == run_id:
                return None
            if row.status == "done" and row.action == "rollback" and row.from_version in versions:
                return row
        return None


def read(connection: Connection, model_name: str) -> State:
    """The state of a registered model; empty when none is registered yet."""
    with connection.guard("read the ledger", writing=False) as client:
        found = client.search_registered_models(f"name = '{model_name}'")
    if not found:
        return State((), {})
    tags, aliases = found[0].tags, found[0].aliases
    rows = [LedgerRow.from_dict(json.loads(tags[key])) for key in sorted(tags) if key.startswith(PREFIX)]
    return State(tuple(rows), {alias: int(version) for alias, version in aliases.items()})


def repair(connection: Connection, model_name: str) -> State:
    """Decide pending rows for good and move the aliases to where the ledger has them;
    call it under the lock.
    """
    state = read(connection, model_name)
    if state.is_sound:
        return state
    last, alias = state.last, state.aliases.get(CHAMPION)
    with connection.guard("repair the ledger") as client:
        for before, after in zip(state.rows, state.resolved_rows, strict=True):
            if before != after:
                log.warning("Ledger row %d was interrupted: it is %s now.", after.number, after.status)
                _write(client, model_name, after)
        if last is None and alias is not None:
            log.warning("Alias champion was on version %d without any promotion: removed.", alias)
            client.delete_registered_model_alias(model_name, CHAMPION)
        if last is not None and alias != last.to_version:
            log.warning("Alias champion was on version %s, the ledger has %d.", alias, last.to_version)
            if model_files.exists(connection, model_name, last.to_version):
                client.set_registered_model_alias(model_name, CHAMPION, str(last.to_version))
        if last is not None and state.aliases.get(CHALLENGER) == last.to_version:
            client.delete_registered_model_alias(model_name, CHALLENGER)
    return read(connection, model_name)


def move(connection: Connection, model_name: str, row: LedgerRow) -> LedgerRow:
    """Move the champion alias and write its row; call it under the lock, after ``repair``.

    A failure or a kill at any point leaves either the old champion and a void row, or the new champion and
    its row. Returns the row as it was finally written.
    """
    row = replace(row, reason=row.reason[:REASON_CHARACTERS], status="pending")
    with connection.guard(f"move the champion to version {row.to_version}") as client:
        _write(client, model_name, row)
        client.set_registered_model_alias(model_name, CHAMPION, str(row.to_version))
        done = replace(row, status="done")
        _write(client, model_name, done)
    return done


def _write(client: Any, model_name: str, row: LedgerRow) -> None:
    client.set_registered_model_tag(model_name, f"{PREFIX}{row.number:06d}", json.dumps(row.to_dict()))
