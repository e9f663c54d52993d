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
into −log10 of how rare it is: of its tail probability for ensemble members (generalised Pareto tail, Coles
2001), of its rate of events for monitors (exponential tail). It sets thresholds at which fault-free
calibration readings raise the promised number of alarms divided by 1.8, since homes change in the year after.
``events`` merges alarms, names the fault and its channels, and values the energy in doubt. ``injection`` puts
known faults into readings, to measure what is found. Read ``detector`` first: fit, detect, save.
"""
