"""What every benchmark needs: data sets, the head of result files, code fingerprints, result pages."""
