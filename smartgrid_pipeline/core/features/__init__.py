"""Feature blocks: what models may be computed from, made of one meter's readings, with numpy.

A block is an object that ``transform`` makes of a whole history and ``update`` keeps up to date as readings
arrive, are late or are corrected; both give the same numbers, in any chunking (``history.Block``).
``tabular`` makes rows and columns of the blocks for regressions and trees, ``windows`` makes tokens for
networks. The analog ensemble and the detector have blocks of their own, made of the same parts.

::

 history         the past on a regular grid, its blocks, mean power of any interval (block ObservedMeans)
 calendar        clock, weekday, holidays: known for any time to come
 lags, rolling   earlier rows, the same time on earlier days; statistics of windows
 feature_table   the 31 features of an interval                          (block IntervalFeatures)
 switch_times    minutes since the power jumped, since a load was on    (block SwitchTimes)
 appliances      lengths of on- and off-runs                            (block DutyCycles)
 submeters       what each sub-meter drew, and the remainder            (block SubmeterLoads)
 minute_series   gap-free series on the meter's own step                (block MinuteSeries)
 tabular         features of an origin and of a target, for regressions and trees
 windows         recent readings, tokens and leads, for networks
"""
