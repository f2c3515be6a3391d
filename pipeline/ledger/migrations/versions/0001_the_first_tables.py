"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pipeline.ledger.types import Instant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""

    op.create_table(
        "articles",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("space", sa.Text(), nullable=False),
        sa.Column("cms_id", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("short_id", sa.Text(), nullable=False),
        sa.Column("order_major", sa.BigInteger(), nullable=True),
        sa.Column("order_open", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("order_time", sa.BigInteger(), nullable=False),
        sa.Column("order_arrival", sa.BigInteger(), nullable=False),
        sa.Column("content_sha", sa.Text(), nullable=False),
        sa.Column("previous_sha", sa.Text(), nullable=False),
        sa.Column("newest", sa.Integer(), nullable=False),
        sa.Column("live", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_articles")),
        sa.UniqueConstraint("site", "space", "cms_id", name=op.f("uq_articles_site_space_cms_id")),
    )
    with op.batch_alter_table("articles", schema=None) as batch_op:
        batch_op.create_index("ix_articles_cms", ["cms_id", "site"], unique=False)
        batch_op.create_index("ix_articles_short", ["short_id", "site"], unique=False)

    op.create_table(
        "attempts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("article_id", sa.BigInteger(), nullable=True),
        sa.Column("outlet", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
    )
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.create_index("ix_attempts_article", ["article_id", "outlet"], unique=False)
        batch_op.create_index("ix_attempts_outlet", ["outlet", "id"], unique=False)

    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("webhook_id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=True),
        sa.Column("article_id", sa.BigInteger(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=True),
        sa.Column("problems", sa.JSON(), nullable=True),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("claimed_until", Instant(), nullable=True),
        sa.Column("suspect", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("strikes", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("processed_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("event_id", name=op.f("uq_events_event_id")),
        sa.UniqueConstraint("source", "webhook_id", name=op.f("uq_events_source_webhook_id")),
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index(
            "ix_events_rejected",
            ["id"],
            unique=False,
            sqlite_where=sa.text("state = 'rejected'"),
            postgresql_where=sa.text("state = 'rejected'"),
        )
        batch_op.create_index(
            "ix_events_waiting",
            ["source", "strikes", "id"],
            unique=False,
            sqlite_where=sa.text("state = 'waiting'"),
            postgresql_where=sa.text("state = 'waiting'"),
        )

    op.create_table(
        "bodies",
        sa.Column("event", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["event"], ["events.id"], name=op.f("fk_bodies_event_events")),
        sa.PrimaryKeyConstraint("event", name=op.f("pk_bodies")),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("until", Instant(), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("seen_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "outlets",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("config_sha", sa.Text(), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", Instant(), nullable=True),
        sa.Column("crashed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("suspect", sa.BigInteger(), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("wanted_seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("held_seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("circuit_failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("circuit_until", Instant(), nullable=True),
        sa.Column("paused", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("closed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("nudged_at", Instant(), nullable=True),
        sa.Column("next_edge_at", Instant(), nullable=True),
        sa.Column("changed_at", Instant(), nullable=True),
        sa.Column("rules_sha", sa.Text(), server_default=sa.text("('')"), nullable=False),
        sa.Column("fill_below", sa.BigInteger(), nullable=True),
        sa.Column("fill_again_at", Instant(), nullable=True),
        sa.Column("reshaped", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_outlets")),
    )
    op.create_table(
        "sites",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("tag_host", sa.Text(), nullable=False),
        sa.Column("tag_date", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("site", name=op.f("pk_sites")),
    )
    op.create_table(
        "tokens",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_tokens")),
    )
    op.create_table(
        "topics",
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("outlet", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("wanted_sha", sa.Text(), nullable=False),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("url", name=op.f("pk_topics")),
    )
    op.create_table(
        "archives",
        sa.Column("outlet", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("last_at", Instant(), nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.Column("again", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.ForeignKeyConstraint(["outlet"], ["outlets.key"], name=op.f("fk_archives_outlet")),
        sa.PrimaryKeyConstraint("outlet", "name", name=op.f("pk_archives")),
        sa.UniqueConstraint("outlet", "month", "number", name=op.f("uq_archives_outlet_month_number")),
    )
    with op.batch_alter_table("archives", schema=None) as batch_op:
        batch_op.create_index(
            "ix_archives_again", ["outlet"], unique=False, sqlite_where=sa.text("again"), postgresql_where=sa.text("again")
        )
        batch_op.create_index("ix_archives_end", ["outlet", "last_at", "last_id"], unique=False)

    op.create_table(
        "deliveries",
        sa.Column("article_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("outlet", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default=sa.text("('')"), nullable=False),
        sa.Column("wanted", sa.BigInteger(), nullable=True),
        sa.Column("wanted_number", sa.Integer(), nullable=False),
        sa.Column("wanted_present", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=True),
        sa.Column("held_number", sa.Integer(), nullable=True),
        sa.Column("held_present", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("sort_at", Instant(), nullable=False),
        sa.Column("wanted_at", Instant(), nullable=False),
        sa.Column("live_at", Instant(), nullable=False),
        sa.Column("next_attempt_at", Instant(), nullable=True),
        sa.Column("held_at", Instant(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("strikes", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("place", sa.Text(), server_default=sa.text("('')"), nullable=False),
        sa.Column("page", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), server_default=sa.text("('')"), nullable=False),
        sa.ForeignKeyConstraint(["article_id"], ["articles.id"], name=op.f("fk_deliveries_article_id")),
        sa.ForeignKeyConstraint(["outlet"], ["outlets.key"], name=op.f("fk_deliveries_outlet")),
        sa.PrimaryKeyConstraint("article_id", "outlet", name=op.f("pk_deliveries")),
    )
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.create_index(
            "ix_deliveries_due",
            ["outlet", "next_attempt_at"],
            unique=False,
            sqlite_where=sa.text("next_attempt_at IS NOT NULL"),
            postgresql_where=sa.text("next_attempt_at IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_deliveries_removed_page",
            ["outlet", "page"],
            unique=False,
            sqlite_where=sa.text("place = 'gone'"),
            postgresql_where=sa.text("place = 'gone'"),
        )
        batch_op.create_index(
            "ix_deliveries_removed",
            ["outlet", sa.literal_column("live_at DESC")],
            unique=False,
            sqlite_where=sa.text("place = 'gone'"),
            postgresql_where=sa.text("place = 'gone'"),
        )
        batch_op.create_index(
            "ix_deliveries_unsettled",
            ["outlet", "state"],
            unique=False,
            sqlite_where=sa.text("state NOT IN ('settled', 'skipped')"),
            postgresql_where=sa.text("state NOT IN ('settled', 'skipped')"),
        )
        batch_op.create_index(
            "ix_deliveries_window",
            ["outlet", sa.literal_column("sort_at DESC"), sa.literal_column("article_id DESC")],
            unique=False,
            sqlite_where=sa.text("wanted_present"),
            postgresql_where=sa.text("wanted_present"),
        )

    op.create_table(
        "documents",
        sa.Column("outlet", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("article_id", sa.BigInteger(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("moved_to", sa.Text(), server_default=sa.text("('')"), nullable=False),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.Column("as_of", Instant(), nullable=True),
        sa.Column("stored_at", Instant(), nullable=False),
        sa.Column("twins_sha", sa.Text(), server_default=sa.text("('')"), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["outlet"], ["outlets.key"], name=op.f("fk_documents_outlet")),
        sa.PrimaryKeyConstraint("outlet", "path", name=op.f("pk_documents")),
    )
    with op.batch_alter_table("documents", schema=None) as batch_op:
        batch_op.create_index("ix_documents_article", ["article_id", "outlet"], unique=False)

    op.create_table(
        "revisions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("article_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("event", sa.BigInteger(), nullable=False),
        sa.Column("headline", sa.Text(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.Column("effective_at", Instant(), nullable=False),
        sa.Column("live_at", Instant(), nullable=True),
        sa.Column("published_at", Instant(), nullable=False),
        sa.Column("modified_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["article_id"], ["articles.id"], name=op.f("fk_revisions_article_id")),
        sa.ForeignKeyConstraint(["event"], ["events.id"], name=op.f("fk_revisions_event")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revisions")),
        sa.UniqueConstraint("article_id", "number", name=op.f("uq_revisions_article_id_number")),
    )
    with op.batch_alter_table("revisions", schema=None) as batch_op:
        batch_op.create_index(
            "ix_revisions_waiting",
            ["effective_at"],
            unique=False,
            sqlite_where=sa.text("state = 'waiting'"),
            postgresql_where=sa.text("state = 'waiting'"),
        )


def downgrade() -> None:
    """Back."""

    with op.batch_alter_table("revisions", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_revisions_waiting", sqlite_where=sa.text("state = 'waiting'"), postgresql_where=sa.text("state = 'waiting'")
        )

    op.drop_table("revisions")
    with op.batch_alter_table("documents", schema=None) as batch_op:
        batch_op.drop_index("ix_documents_article")

    op.drop_table("documents")
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.drop_index("ix_deliveries_window", sqlite_where=sa.text("wanted_present"), postgresql_where=sa.text("wanted_present"))
        batch_op.drop_index(
            "ix_deliveries_unsettled",
            sqlite_where=sa.text("state NOT IN ('settled', 'skipped')"),
            postgresql_where=sa.text("state NOT IN ('settled', 'skipped')"),
        )
        batch_op.drop_index(
            "ix_deliveries_removed_page", sqlite_where=sa.text("place = 'gone'"), postgresql_where=sa.text("place = 'gone'")
        )
        batch_op.drop_index("ix_deliveries_removed", sqlite_where=sa.text("place = 'gone'"), postgresql_where=sa.text("place = 'gone'"))
        batch_op.drop_index(
            "ix_deliveries_due",
            sqlite_where=sa.text("next_attempt_at IS NOT NULL"),
            postgresql_where=sa.text("next_attempt_at IS NOT NULL"),
        )

    op.drop_table("deliveries")
    with op.batch_alter_table("archives", schema=None) as batch_op:
        batch_op.drop_index("ix_archives_end")
        batch_op.drop_index("ix_archives_again", sqlite_where=sa.text("again"), postgresql_where=sa.text("again"))

    op.drop_table("archives")
    op.drop_table("topics")
    op.drop_table("tokens")
    op.drop_table("sites")
    op.drop_table("outlets")
    op.drop_table("leases")
    op.drop_table("bodies")
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.drop_index("ix_events_waiting", sqlite_where=sa.text("state = 'waiting'"), postgresql_where=sa.text("state = 'waiting'"))
        batch_op.drop_index(
            "ix_events_rejected", sqlite_where=sa.text("state = 'rejected'"), postgresql_where=sa.text("state = 'rejected'")
        )

    op.drop_table("events")
    op.drop_table("audit")
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.drop_index("ix_attempts_outlet")
        batch_op.drop_index("ix_attempts_article")

    op.drop_table("attempts")
    with op.batch_alter_table("articles", schema=None) as batch_op:
        batch_op.drop_index("ix_articles_short")
        batch_op.drop_index("ix_articles_cms")

    op.drop_table("articles")
