import numpy as np
import pandas as pd

from benchmarks.frozen.comparison import compare, unlike_saved
from benchmarks.frozen.digests import of_events

BASE = {"house/gru/forecast": "a", "house/gru/loaded": "a", "house/detector/events/texts": "b"}


def _failing(here: dict[str, str], allow: tuple[str, ...] = ()) -> dict[str, str]:
    return {each.key: each.what for each in compare(BASE, here, allow) if each.fails}


def test_compare__of_the_same_digests_finds_nothing() -> None:
    assert compare(BASE, dict(BASE)) == []


def test_compare__finds_a_changed_digest_and_a_missing_key() -> None:
    here = {"house/gru/forecast": "a", "house/gru/loaded": "a", "house/detector/events/texts": "c"}
    assert _failing(here) == {"house/detector/events/texts": "differs"}
    del here["house/detector/events/texts"]
    assert _failing(here) == {"house/detector/events/texts": "missing"}


def test_compare__allows_what_was_named_and_says_so() -> None:
    here = BASE | {"house/detector/events/texts": "c"}
    (found,) = compare(BASE, here, ["house/detector/events"])
    assert found.allowed and not found.fails and found.line.startswith("allowed: differs")
    assert _failing(here, ("house/gru",)) == {"house/detector/events/texts": "differs"}


def test_compare__tells_new_keys_without_failing() -> None:
    (found,) = compare(BASE, BASE | {"house/other/forecast": "d"})
    assert (found.what, found.fails) == ("new", False)


def test_unlike_saved__finds_a_model_that_loading_changed() -> None:
    assert unlike_saved(BASE) == []
    assert unlike_saved(BASE | {"house/gru/loaded": "z"}) == ["house/gru/loaded"]
    assert unlike_saved({"home/detector/alarm": "a", "home/detector_loaded/alarm": "b"}) == [
        "home/detector_loaded/alarm"
    ]


def test_events__are_digested_by_values_not_by_headers() -> None:
    start = pd.to_datetime(["2010-03-01", "2010-03-02", "2010-03-05"])
    events = pd.DataFrame({"start": start, "kind": ["load", "clock", "load"], "kwh": np.arange(3.0)})
    other = events.rename(columns={"kind": "fault"})
    assert of_events(other) == of_events(events)
    renamed = of_events(events.replace({"kind": {"load": "use"}}))
    assert {part for part, found in of_events(events).items() if found != renamed[part]} == {"texts"}
    regrouped = of_events(events.assign(kind=["load", "load", "load"]))
    assert regrouped["grouping"] != of_events(events)["grouping"]
