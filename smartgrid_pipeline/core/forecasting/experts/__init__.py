"""The four neural experts: one class, four encoders, a short- and a long-horizon network each."""
