"""The evidence a challenger must bring, and the rule that weighs it."""
