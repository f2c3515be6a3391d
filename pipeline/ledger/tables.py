"""The ledger's tables. A row says what must be true; a message only hurries somebody to look at it.

Partial indexes keep the hot questions ("what is due", "what is newest") independent of the size of the archive.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from pipeline.ledger.types import Instant, RowId

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    },
)


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, default=0, server_default=text("0"))


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, default=False, server_default=false())


sites = Table(
    "sites",
    metadata,
    Column("site", Text, primary_key=True),
    Column("tag_host", Text, nullable=False),
    Column("tag_date", Text, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("event_id", Text, nullable=False, unique=True),
    Column("source", Text, nullable=False),
    Column("webhook_id", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("headers", JSON, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("state", Text, nullable=False),
    Column("type", Text),
    Column("article_id", BigInteger),
    Column("revision", Integer),
    Column("problems", JSON),
    Column("claimed_by", Text),
    Column("claimed_until", Instant),
    _flag("suspect"),
    _count("strikes"),
    Column("processed_at", Instant),
    UniqueConstraint("source", "webhook_id"),
)
# Apart from what is said of them: an event is claimed and finished, and either would write its body again.
bodies = Table(
    "bodies",
    metadata,
    Column("event", RowId, ForeignKey("events.id"), primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)
Index(
    "ix_events_waiting",
    events.c.source,
    events.c.strikes,
    events.c.id,
    sqlite_where=events.c.state == text("'waiting'"),
    postgresql_where=events.c.state == text("'waiting'"),
)
Index(
    "ix_events_rejected",
    events.c.id,
    sqlite_where=events.c.state == text("'rejected'"),
    postgresql_where=events.c.state == text("'rejected'"),
)

articles = Table(
    "articles",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("site", Text, nullable=False),
    Column("space", Text, nullable=False),
    Column("cms_id", Text, nullable=False),
    Column("identity", Text, nullable=False),
    Column("short_id", Text, nullable=False),
    Column("order_major", BigInteger),
    _flag("order_open"),
    Column("order_time", BigInteger, nullable=False),
    Column("order_arrival", BigInteger, nullable=False),
    Column("content_sha", Text, nullable=False),
    Column("previous_sha", Text, nullable=False),
    Column("newest", Integer, nullable=False),
    Column("live", BigInteger),
    UniqueConstraint("site", "space", "cms_id"),
    # Asked for with a site and without: an id comes first, and few articles share one.
    Index("ix_articles_short", "short_id", "site"),
    Index("ix_articles_cms", "cms_id", "site"),
)

revisions = Table(
    "revisions",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("article_id", BigInteger, ForeignKey("articles.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("event", BigInteger, ForeignKey("events.id"), nullable=False),
    Column("headline", Text, nullable=False),
    Column("content", JSON),
    Column("reason", Text, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("effective_at", Instant, nullable=False),
    Column("live_at", Instant),
    Column("published_at", Instant, nullable=False),
    Column("modified_at", Instant, nullable=False),
    UniqueConstraint("article_id", "number"),
)
Index(
    "ix_revisions_waiting",
    revisions.c.effective_at,
    sqlite_where=revisions.c.state == text("'waiting'"),
    postgresql_where=revisions.c.state == text("'waiting'"),
)

outlets = Table(
    "outlets",
    metadata,
    Column("key", Text, primary_key=True),
    Column("site", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("config_sha", Text, nullable=False),
    Column("lease_owner", Text),
    Column("lease_until", Instant),
    _flag("crashed"),
    Column("suspect", BigInteger),
    Column("fence", BigInteger, nullable=False, default=0, server_default=text("0")),
    Column("wanted_seq", BigInteger, nullable=False, default=0, server_default=text("0")),
    Column("held_seq", BigInteger, nullable=False, default=0, server_default=text("0")),
    _count("circuit_failures"),
    Column("circuit_until", Instant),
    _flag("paused"),
    _flag("closed"),
    Column("nudged_at", Instant),
    Column("next_edge_at", Instant),
    Column("changed_at", Instant),
    Column("rules_sha", Text, nullable=False, default="", server_default=text("''")),
    Column("fill_below", BigInteger),
    Column("fill_again_at", Instant),
    _flag("reshaped"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("article_id", BigInteger, ForeignKey("articles.id"), primary_key=True, autoincrement=False),
    Column("outlet", Text, ForeignKey("outlets.key"), primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False, default="", server_default=text("''")),
    Column("wanted", BigInteger),
    Column("wanted_number", Integer, nullable=False),
    _flag("wanted_present"),
    Column("held", BigInteger),
    Column("held_number", Integer),
    _flag("held_present"),
    Column("sort_at", Instant, nullable=False),
    Column("wanted_at", Instant, nullable=False),
    Column("live_at", Instant, nullable=False),
    Column("next_attempt_at", Instant),
    Column("held_at", Instant),
    _count("attempts"),
    _count("strikes"),
    Column("place", Text, nullable=False, default="", server_default=text("''")),
    Column("page", Text),
    Column("url", Text, nullable=False, default="", server_default=text("''")),
)
Index(
    "ix_deliveries_due",
    deliveries.c.outlet,
    deliveries.c.next_attempt_at,
    sqlite_where=deliveries.c.next_attempt_at.is_not(None),
    postgresql_where=deliveries.c.next_attempt_at.is_not(None),
)
# Written as text so that a query's words and the index's are the same: SQLite compares them literally.
PRESENT = text("wanted_present")
Index(
    "ix_deliveries_window",
    deliveries.c.outlet,
    deliveries.c.sort_at.desc(),
    deliveries.c.article_id.desc(),
    sqlite_where=PRESENT,
    postgresql_where=PRESENT,
)
UNSETTLED = text("state NOT IN ('settled', 'skipped')")
Index("ix_deliveries_unsettled", deliveries.c.outlet, deliveries.c.state, sqlite_where=UNSETTLED, postgresql_where=UNSETTLED)
Index(
    "ix_deliveries_removed",
    deliveries.c.outlet,
    deliveries.c.live_at.desc(),
    sqlite_where=text("place = 'gone'"),
    postgresql_where=text("place = 'gone'"),
)

Index(
    "ix_deliveries_removed_page",
    deliveries.c.outlet,
    deliveries.c.page,
    sqlite_where=text("place = 'gone'"),
    postgresql_where=text("place = 'gone'"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("article_id", BigInteger),
    Column("outlet", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("milliseconds", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Index("ix_attempts_article", "article_id", "outlet"),
    Index("ix_attempts_outlet", "outlet", "id"),
)

documents = Table(
    "documents",
    metadata,
    Column("outlet", Text, ForeignKey("outlets.key"), primary_key=True),
    Column("path", Text, primary_key=True),
    Column("article_id", BigInteger),
    Column("revision", Integer),
    Column("sha256", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("moved_to", Text, nullable=False, default="", server_default=text("''")),
    Column("changed_at", Instant, nullable=False),
    Column("as_of", Instant),
    Column("stored_at", Instant, nullable=False),
    Column("twins_sha", Text, nullable=False, default="", server_default=text("''")),
    Column("body", LargeBinary),
    Index("ix_documents_article", "article_id", "outlet"),
)

archives = Table(
    "archives",
    metadata,
    Column("outlet", Text, ForeignKey("outlets.key"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("month", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("last_id", BigInteger, nullable=False),
    Column("changed_at", Instant, nullable=False),
    _flag("again"),
    Index("ix_archives_end", "outlet", "last_at", "last_id"),
    UniqueConstraint("outlet", "month", "number"),
)
AGAIN = text("again")
Index("ix_archives_again", archives.c.outlet, sqlite_where=AGAIN, postgresql_where=AGAIN)

topics = Table(
    "topics",
    metadata,
    Column("url", Text, primary_key=True),
    Column("outlet", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("wanted_sha", Text, nullable=False),
    Column("changed_at", Instant, nullable=False),
    # Counts the changes: a text that comes back is told of again, for nobody knows what became of the one between.
    Column("seq", BigInteger, nullable=False, default=1, server_default=text("1")),
    # Up to which change nobody is left who was not told, or tried: retries have their own times.
    Column("told_seq", BigInteger, nullable=False, default=0, server_default=text("0")),
    # Of other publishers' topics, which the hub fetches when it is told of them.
    Column("fetch_at", Instant),
    Column("fetched_at", Instant),
    _count("fetch_attempts"),
    Column("claimed_by", Text),
    Column("claimed_until", Instant),
    Column("media_type", Text, nullable=False, default="", server_default=text("''")),
    Column("body", LargeBinary),
)
UNTOLD = text("told_seq < seq")
Index("ix_topics_untold", topics.c.url, sqlite_where=UNTOLD, postgresql_where=UNTOLD)
Index(
    "ix_topics_fetch",
    topics.c.fetch_at,
    sqlite_where=topics.c.fetch_at.is_not(None),
    postgresql_where=topics.c.fetch_at.is_not(None),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    # Of topic and callback, which together are too long for an index of PostgreSQL.
    Column("key", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("callback", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("client", Text, nullable=False, default="", server_default=text("''")),
    Column("state", Text, nullable=False),
    Column("secret", Text, nullable=False, default="", server_default=text("''")),
    Column("expires_at", Instant),
    # What was asked for and is not verified yet; what is in force stays until then.
    Column("asked", Text, nullable=False, default="", server_default=text("''")),
    _count("asked_seq"),
    Column("asked_secret", Text, nullable=False, default="", server_default=text("''")),
    _count("asked_lease"),
    Column("reason", Text, nullable=False, default="", server_default=text("''")),
    Column("ask_at", Instant),
    _count("ask_attempts"),
    Column("held_seq", BigInteger, nullable=False, default=0, server_default=text("0")),
    Column("tried_seq", BigInteger, nullable=False, default=0, server_default=text("0")),
    Column("held_at", Instant),
    Column("retry_at", Instant),
    _count("attempts"),
    _count("strikes"),
    _count("milliseconds"),
    Column("answer", Text, nullable=False, default="", server_default=text("''")),
    Column("claimed_by", Text),
    Column("claimed_until", Instant),
    Column("changed_at", Instant, nullable=False),
    Index("ix_subscriptions_host", "host"),
    Index("ix_subscriptions_state", "kind", "state"),
)
ACTIVE = text("subscriptions.state = 'active'")
TOUCHED = text("(claimed_by IS NOT NULL OR strikes > 0)")
Index("ix_subscriptions_touched", subscriptions.c.id, sqlite_where=TOUCHED, postgresql_where=TOUCHED)
Index(
    "ix_subscriptions_behind",
    subscriptions.c.topic,
    subscriptions.c.held_seq,
    sqlite_where=text("state = 'active'"),
    postgresql_where=text("state = 'active'"),
)
Index(
    "ix_subscriptions_ask",
    subscriptions.c.ask_at,
    sqlite_where=subscriptions.c.ask_at.is_not(None),
    postgresql_where=subscriptions.c.ask_at.is_not(None),
)
Index(
    "ix_subscriptions_retry",
    subscriptions.c.retry_at,
    sqlite_where=subscriptions.c.retry_at.is_not(None),
    postgresql_where=subscriptions.c.retry_at.is_not(None),
)
Index(
    "ix_subscriptions_expires",
    subscriptions.c.expires_at,
    sqlite_where=subscriptions.c.expires_at.is_not(None),
    postgresql_where=subscriptions.c.expires_at.is_not(None),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text),
    Column("until", Instant),
    Column("fence", BigInteger, nullable=False, default=0, server_default=text("0")),
    Column("seen_at", Instant),
)

tokens = Table(
    "tokens",
    metadata,
    Column("name", Text, primary_key=True),
    Column("sha256", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("detail", JSON, nullable=False),
)
