"""The mixture of experts: gate, base learners, blend weights and recalibration."""
