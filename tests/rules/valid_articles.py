"""Native articles as newsrooms might state them, for properties: valid, odd, and never twice the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

EARLIEST, LATEST = datetime(1900, 1, 2), datetime(2200, 12, 30)  # noqa: DTZ001 - the offset is drawn apart

_characters = st.characters(exclude_categories=["Cs"])
_texts = st.text(_characters, max_size=20)
words = st.builds("{}{}".format, st.sampled_from("wéשж漢"), _texts)
lines = st.one_of(words, st.just("  two \t words\n"), st.just("e\u0301\u0000\u0085x"))
levels = lines.map(lambda text: text.replace("/", "|"))
ids = st.from_regex(r"[!-~](?:[ -~]{0,30}[!-~])?", fullmatch=True)
zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(EARLIEST, LATEST, timezones=zones | st.just(UTC))
instants = moments.map(datetime.isoformat)
addresses = st.from_regex(r"https://[a-z]{1,8}\.example/[a-z0-9/._~-]{0,20}(?:\?[a-z]=[0-9])?", fullmatch=True)
media_types = st.sampled_from(["image/jpeg", "video/mp4", "application/vnd.apple.mpegurl"])
pixels = st.integers(1, 100_000)
counts = st.integers(0, 2**53 - 1)
markup = st.lists(
    st.sampled_from(["<p>", "</p>", "<b>", "<script>x</script>", "<h1>a</h1>", "<a href='/x'>", "&amp;", "&#0;", "\x00", "<li>", "e\u0301"])
    | words.map(lambda text: text.replace("<", "&lt;")),
    max_size=8,
).map(lambda parts: "<p>w</p>" + "".join(parts))


def _objects(required: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


authors = _objects({"name": lines}, url=addresses)
images = _objects(
    {"url": addresses},
    role=st.just("inline"),
    caption=lines,
    credit=lines,
    alt=lines,
    width=pixels,
    height=pixels,
    media_type=media_types,
    size_bytes=counts,
)
videos = _objects(
    {"url": addresses},
    media_type=media_types,
    duration_seconds=st.floats(0, 86400),
    caption=lines,
    credit=lines,
    thumbnail_url=addresses,
    width=pixels,
    height=pixels,
)
places = st.one_of(
    st.fixed_dictionaries({"country": st.sampled_from(["RU", "FR", "JP"])}, optional={"name": st.sampled_from(["Paris", "Токио"])}),
    st.fixed_dictionaries({"latitude": st.floats(-90, 90), "longitude": st.integers(-180, 180)}),
)
own = st.recursive(words | counts | st.none(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3))

_required: dict[str, st.SearchStrategy[Any]] = {
    "id": ids,
    "url": addresses,
    "headline": lines,
    "body_html": markup,
    "language": st.sampled_from(["en", "pt-BR", "zh-Hant-TW"]),
    "published_at": instants,
}
articles = _objects(
    _required,
    updated_at=instants,
    version=counts,
    summary=_texts,
    dateline=_texts,
    sign_off=_texts,
    section=st.lists(levels, max_size=4),
    authors=st.lists(authors, max_size=3),
    tags=st.lists(lines, max_size=4),
    images=st.lists(images, max_size=3),
    videos=st.lists(videos, max_size=2),
    embargo_until=instants,
    correction=_objects({"note": lines, "at": instants}),
    rights=_texts,
    geo=places,
    priority=st.integers(1, 9),
    extra=st.dictionaries(words, own, max_size=3),
)
