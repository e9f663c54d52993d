"""The learned detectors: isolation forest, One-Class SVM and autoencoder on causal features."""
