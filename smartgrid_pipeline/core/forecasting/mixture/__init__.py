"""The mixture of experts, the usual champion; ``mixture`` has the steps in their order.

::

 experts: GRU, CNN-LSTM, Transformer, attention ── gating: a weight each, per origin and lead ─┐
 submeter_boosting      next 5 and 60 minutes ──┐                                              ├─ blending
 linear_tree_average    beyond one hour ────────┼─ base_learners: each covers some leads ──────┘      │
 analog_ensemble        beyond one hour ────────┘                                               recalibration

 holdout       what experts and base learners predict for days that they were not fitted on
 holdout_fit   gate, blend weights and recalibration, fitted on these predictions

Stacking: Wolpert (1992). Balance loss of the gate: Shazeer et al. (2017). Analog ensemble: Delle Monache et
al. (2013). Recalibration of quantiles: after Romano et al. (2019).
"""
