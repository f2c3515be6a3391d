"""Subscriptions, and what the hub must know of a topic."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pipeline.ledger.types import Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("callback", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("client", sa.Text(), server_default=sa.text("('')"), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), server_default=sa.text("('')"), nullable=False),
        sa.Column("expires_at", Instant(), nullable=True),
        sa.Column("asked", sa.Text(), server_default=sa.text("('')"), nullable=False),
        sa.Column("asked_seq", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("asked_secret", sa.Text(), server_default=sa.text("('')"), nullable=False),
        sa.Column("asked_lease", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("reason", sa.Text(), server_default=sa.text("('')"), nullable=False),
        sa.Column("ask_at", Instant(), nullable=True),
        sa.Column("ask_attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("held_seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("tried_seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("held_at", Instant(), nullable=True),
        sa.Column("retry_at", Instant(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("strikes", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("milliseconds", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("answer", sa.Text(), server_default=sa.text("('')"), nullable=False),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("claimed_until", Instant(), nullable=True),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
        sa.UniqueConstraint("key", name=op.f("uq_subscriptions_key")),
    )
    for name, columns, where in SUBSCRIPTIONS:
        condition = sa.text(where) if where else None
        op.create_index(name, "subscriptions", columns, sqlite_where=condition, postgresql_where=condition)
    with op.batch_alter_table("topics", schema=None) as batch_op:
        batch_op.add_column(sa.Column("seq", sa.BigInteger(), server_default=sa.text("1"), nullable=False))
        batch_op.add_column(sa.Column("told_seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
        batch_op.add_column(sa.Column("fetch_at", Instant(), nullable=True))
        batch_op.add_column(sa.Column("fetched_at", Instant(), nullable=True))
        batch_op.add_column(sa.Column("fetch_attempts", sa.Integer(), server_default=sa.text("0"), nullable=False))
        batch_op.add_column(sa.Column("claimed_by", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("claimed_until", Instant(), nullable=True))
        batch_op.add_column(sa.Column("media_type", sa.Text(), server_default=sa.text("('')"), nullable=False))
        batch_op.add_column(sa.Column("body", sa.LargeBinary(), nullable=True))
        batch_op.create_index("ix_topics_untold", ["url"], unique=False, sqlite_where=UNTOLD, postgresql_where=UNTOLD)
        batch_op.create_index("ix_topics_fetch", ["fetch_at"], unique=False, sqlite_where=FETCHED, postgresql_where=FETCHED)


def downgrade() -> None:
    """Back."""
    with op.batch_alter_table("topics", schema=None) as batch_op:
        batch_op.drop_index("ix_topics_untold", sqlite_where=UNTOLD, postgresql_where=UNTOLD)
        batch_op.drop_index("ix_topics_fetch", sqlite_where=FETCHED, postgresql_where=FETCHED)
        for name in ("body", "media_type", "claimed_until", "claimed_by", "fetch_attempts", "fetched_at", "fetch_at", "told_seq", "seq"):
            batch_op.drop_column(name)
    op.drop_table("subscriptions")


SUBSCRIPTIONS = (
    ("ix_subscriptions_ask", ["ask_at"], "ask_at IS NOT NULL"),
    ("ix_subscriptions_behind", ["topic", "held_seq"], "state = 'active'"),
    ("ix_subscriptions_expires", ["expires_at"], "expires_at IS NOT NULL"),
    ("ix_subscriptions_host", ["host"], ""),
    ("ix_subscriptions_retry", ["retry_at"], "retry_at IS NOT NULL"),
    ("ix_subscriptions_state", ["kind", "state"], ""),
    ("ix_subscriptions_touched", ["id"], "(claimed_by IS NOT NULL OR strikes > 0)"),
)
FETCHED = sa.text("fetch_at IS NOT NULL")
UNTOLD = sa.text("told_seq < seq")
