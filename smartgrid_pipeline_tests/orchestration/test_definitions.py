"""The asset graph, its checks, its jobs and its schedule are what the README draws."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from smartgrid_pipeline.definitions import create_definitions
from smartgrid_pipeline.orchestration import checks
from smartgrid_pipeline.orchestration.runtime import launch
from smartgrid_pipeline.settings import Settings
from smartgrid_pipeline_tests.orchestration.conftest import Place

README = Path(__file__).parents[2] / "README.md"
MODELS = [
    "references",
    "lightgbm",
    "ridge",
    "random_forest",
    "extra_trees",
    "gru",
    "cnn_lstm",
    "transformer",
    "attention",
]

GRAPH = {
    "raw_readings": set(),
    "validated_readings": {"raw_readings"},
    "defects": {"validated_readings"},
    "feature_table": {"validated_readings"},
    **{name: {"feature_table"} for name in MODELS},
    "mixture_of_experts": {"feature_table", "gru", "cnn_lstm", "transformer", "attention"},
    "anomaly_detector": {"raw_readings", "validated_readings"},
    "anomaly_report": {"raw_readings", "anomaly_detector"},
    "comparison_report": {"feature_table", "defects", "mixture_of_experts", *MODELS},
    "champion": {"comparison_report"},
}


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return create_definitions(Settings(home=tmp_path_factory.mktemp("home")))


def test_graph__is_the_one_drawn(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    found = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    assert found == GRAPH


def test_readme__names_every_asset_of_the_graph_in_its_picture() -> None:
    picture = README.read_text().split("```mermaid")[1].split("```")[0]
    drawn: dict[str, set[str]] = {name: set() for name in GRAPH}
    for line in picture.splitlines():
        if "-->" in line:
            left, right = (side.split("&") for side in line.split("-->"))
            for target in right:
                drawn[target.strip()] |= {source.strip() for source in left}
    assert drawn == GRAPH


def test_assets__are_described_owned_grouped_and_partitioned(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description and node.owners and node.kinds and node.group_name != "default", key
        assert isinstance(node.partitions_def, dg.MonthlyPartitionsDefinition), key


def test_months__of_the_house_end_with_it_and_those_of_a_live_source_grow(place: Place) -> None:
    def keys(settings: Settings, year: int) -> list[str]:
        graph = create_definitions(settings).resolve_asset_graph()
        found = graph.get(dg.AssetKey("champion")).partitions_def
        assert found is not None
        return list(found.get_partition_keys(current_time=datetime(year, 1, 15, tzinfo=UTC)))

    house = keys(Settings(home=place.root), 2026)
    assert (house[0], house[-1], len(house)) == ("2006-12-01", "2010-11-01", 48)
    assert keys(place.settings, 2026)[-1] == "2025-12-01"
    assert keys(place.settings, 2030)[-1] == "2029-12-01"


def test_checks__block_and_are_partitioned(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    found = {key.name: graph.get(key) for key in graph.asset_check_keys}
    assert set(found) == set(checks.CHECKED)
    assert all(node.blocking and node.partitions_def is not None for node in found.values())


def test_retraining__waits_for_its_pool(definitions: dg.Definitions) -> None:
    job = launch.resolve_job(definitions, "monthly_retraining")
    pools = {node.name: node.definition.pool for node in job.graph.nodes}
    assert {name for name, pool in pools.items() if pool == "retrain"} == {
        *MODELS,
        "mixture_of_experts",
        "anomaly_detector",
    }
