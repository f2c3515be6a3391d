"""Pressrun: one signed webhook, and every feed, mirror and network follows.

    accept     < webhook          > event            durable, deduplicated, answered 202
    validate   < event            > revision, plan   or a rejection
    feeds      < dirty feed       > documents at the origin
    hub        < changed topic    > WebSub subscribers, IndexNow
    mirrors    < dirty mirror     > pages and feeds at another domain
    social     < dirty network    > share payloads
    upkeep     < clock            > nudges           retries, leases, embargoes, twins

The ledger is the truth; a nudge between steps may be lost, doubled or late, and everything still converges.
"""
