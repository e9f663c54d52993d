"""A physical monitor: what it needs, what it says, and its statistics."""

from collections.abc import Callable
from dataclasses import dataclass

from smartgrid_pipeline.core.anomaly.interval_array import Array
from smartgrid_pipeline.core.anomaly.physics.hours import HourlyAggregates


@dataclass(frozen=True)
class Monitor:
    """A physical monitor: ``statistics`` maps a window's name to (hours,), larger is stranger."""

    name: str
    alarm_class: str
    fault_class: str
    channels: tuple[str, ...]
    needs: tuple[str, ...]
    statistics: Callable[[HourlyAggregates], dict[str, Array]]
    text: str
    bell_shaped: bool = False
    """Whether healthy statistics scatter alike about their median, the lower half telling the upper."""
