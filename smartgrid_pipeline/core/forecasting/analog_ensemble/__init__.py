"""The analog ensemble: past days as ensemble members, weighted by learned similarity."""
