"""What the assets call: one flow a file, from ingestion to promotion."""
