"""The learned detectors: isolation forest, one-class SVM and autoencoder."""
