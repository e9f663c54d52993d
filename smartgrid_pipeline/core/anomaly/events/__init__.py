"""From alarms to events: merged, classified, described, with the energy in doubt."""
