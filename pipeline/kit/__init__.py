"""Tools that know no news words: clock, configuration, HTTP, signatures, logs, metrics."""
