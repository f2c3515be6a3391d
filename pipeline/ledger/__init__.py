"""The ledger: what must happen and what is known to have happened, on SQLite or PostgreSQL, in one code."""

from pipeline.ledger.engine import Ledger, Tx

__all__ = ["Ledger", "Tx"]
