import threading
from pathlib import Path

import pytest

from smartgrid_pipeline.core.schema import RegistryError
from smartgrid_pipeline.registry.connection import Connection, exclusive


def test_lock__held_by_another_is_waited_for_then_refused(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "lock"
    outcome: list[str] = []

    def other() -> None:
        try:
            with exclusive(path, "promote", 0.1):
                outcome.append("held")
        except RegistryError as error:
            outcome.append(str(error))

    with exclusive(path, "roll back", 0.1):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    other()
    assert "Cannot promote: another process has held" in outcome[0]
    assert outcome[1] == "held"


def test_lock__is_free_again_after_a_failure_of_its_block(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), exclusive(tmp_path / "lock", "promote", 0.1):
        raise ValueError("inside")
    with exclusive(tmp_path / "lock", "promote", 0.1):
        pass


def test_lock__that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(RegistryError, match="Cannot promote: the lock"),
        exclusive(tmp_path / "file" / "lock", "promote", 0.1),
    ):
        pass


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(28, "No space left on device"), "is full"),
        (RuntimeError("database is locked"), "Let it finish or stop it"),
        (ValueError("weights are gone"), "weights are gone"),
    ],
)
def test_failure__is_explained_with_what_to_do(error: Exception, says: str, tmp_path: Path) -> None:
    connection = Connection(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path, "test", 0.1)
    text = connection.explain("log the run", error)
    assert text.startswith("Cannot log the run: ") and says in text and type(error).__name__ in text


def test_foreign_errors__pass_through_the_guard(tmp_path: Path) -> None:
    connection = Connection("http://127.0.0.1:9", tmp_path, "test", 0.1)
    with pytest.raises(ZeroDivisionError), connection.guard("divide"):
        raise ZeroDivisionError
    with pytest.raises(RegistryError, match="Cannot write"), connection.guard("write"):
        raise OSError("disk on fire")
