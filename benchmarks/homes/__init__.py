"""Any meter: half-hourly homes with one channel, from two years of history down to none."""
