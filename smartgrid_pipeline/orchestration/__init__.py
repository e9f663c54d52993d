"""The Dagster side of the pipeline: assets and checks call flows, flows call core, registry and quality."""
