"""Real parts for tests: servers to deliver to, and running press runs."""
