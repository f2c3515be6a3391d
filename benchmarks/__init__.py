"""Measurements of the whole press run on this machine, each beside a floor taken in the same run. `python -m benchmarks --help`."""
