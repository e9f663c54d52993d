"""Anomaly detection in the readings of one meter, at a promised number of false alarms a month.

::

    readings ──> rules ─────────────────────────────────────────────────────────────> events
      1 min        │ readings that rules call faulty are masked                          ^
                   v                                                                     │
                 hourly aggregates ──> physical monitors ──┐                             │
                 causal features ────> isolation forest ───┤                             │
                   5 min               One-Class SVM ──────┼─> −log10 p ─> thresholds ───┘
                                       autoencoder ────────┘    (tails)    (false-alarm rate)

``rules`` flag single readings that no healthy meter records. ``physics`` compares slow statistics of supply,
clock and loads with a trailing reference. ``ensemble`` learns what the meter usually records (isolation
forest, Liu et al. 2008; One-Class SVM, Schölkopf et al. 2001; autoencoder). ``scoring`` turns every score
into −log10 of its tail probability (generalised Pareto tail, Coles 2001) and sets thresholds at which
fault-free calibration readings raise the promised number of alarms. ``events`` merges alarms, names the fault
and its channels, and values the energy in doubt. ``injection`` puts known faults into readings, to measure
what is found.
Read ``detector`` first: fit, detect, save.
"""
