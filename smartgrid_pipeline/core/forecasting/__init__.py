"""Forecasts of one meter's power, from the next five minutes to the next week.

::

              ┌ GRU ┐
 readings ──> ├ CNN-LSTM    ├─ quantiles ─> gate (softmax, shrunk to equal weights) ─> expert average ─┐
              ├ Transformer ┤                                                                          │
              └ Attention   ┘                                                                          │
 next 5 min, next hour: LightGBM for each sub-meter, their sum halfway to LightGBM of the total ───────┤
 beyond one hour: mean of ridge and shallow LightGBM ──────────────────────────────────────────────────┤
 beyond one hour: analog ensemble (past days, learned similarity) ─────────────────────────────────────┘
                                   blend: a weight per base learner and lead group, shrunk to a prior ─┤
                                   quantile recalibration per lead group ─> quantiles sorted, none < 0 ┘

Reading order: ``forecaster`` (what a model is), ``leads`` (which leads share what), ``baselines``,
``experts``, ``analog_ensemble``, ``mixture`` (usually the champion), ``recalibration``. Around them:
``fallback`` (the best forecast that few readings allow), ``newest`` (from readings to the newest forecast),
``monthly_policy`` (recalibrate or refit; so far only the accuracy benchmark follows it), ``catalogue``
(name to model).
"""
