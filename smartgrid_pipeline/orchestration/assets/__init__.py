"""The asset graph, one file per part: readings, candidates, anomaly, champion. Each asset calls its flow."""
