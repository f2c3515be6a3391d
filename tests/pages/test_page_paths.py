"""The path of a page is made of an id of ours and a harmless name, whatever the canonical URL is."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.pages import page_path

ID = "abcdefgh27"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://www.example.org/news/russia/library-boat-returns.html", f"library-boat-returns-{ID}/"),
        ("https://www.example.org/news/russia/library-boat-returns/", f"library-boat-returns-{ID}/"),
        ("https://www.example.org/news/Library_Boat%20Returns.PHP?page=2#top", f"library-boat-returns-{ID}/"),
        ("https://www.example.org/2026/11/v1.5", f"v1-5-{ID}/"),
        ("https://www.example.org/%D0%B4%D1%83%D0%B1%D1%8B", f"{ID}/"),
        ("https://www.example.org/новости", f"{ID}/"),
        ("https://www.example.org/", f"{ID}/"),
        ("https://www.example.org", f"{ID}/"),
        ("https://www.example.org?id=7", f"{ID}/"),
        ("https://www.example.org/a/..", f"{ID}/"),
        ("https://www.example.org/%2e%2e%2f%2e%2e%2fetc%2fpasswd", f"etc-passwd-{ID}/"),
        ("https://www.example.org/a%00b%0d%0ac", f"a-b-c-{ID}/"),
        ("https://www.example.org/.html", f"html-{ID}/"),
        (f"https://www.example.org/{'a' * 200}", f"{'a' * 80}-{ID}/"),
        (f"https://www.example.org/{'a' * 79}-tail", f"{'a' * 79}-{ID}/"),
        ("http://[", f"{ID}/"),
        ("", f"{ID}/"),
    ],
)
def test_the_name_is_the_last_segment_made_harmless(url: str, path: str) -> None:
    """Decoded, lower-cased, without extension, of `[a-z0-9-]`, at most 80 characters."""
    assert page_path(url, ID) == path


@given(
    st.one_of(
        st.text(), st.text().map(lambda t: f"https://www.example.org/{quote(t)}"), st.text().map(lambda t: f"https://www.example.org/{t}")
    )
)
def test_no_url_steers_the_path(url: str) -> None:
    """One folder, of letters, digits and hyphens, ending with the id; short enough for any file system."""
    assert re.fullmatch(rf"(?:[a-z0-9](?:[a-z0-9-]{{0,78}}[a-z0-9])?-)?{ID}/", page_path(url, ID))


@given(st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)*", fullmatch=True).filter(lambda name: len(name) <= 80))
def test_a_harmless_name_is_kept_and_query_and_fragment_do_not_count(name: str) -> None:
    """So an address with tracking parameters leads to the same page."""
    url = f"https://www.example.org/news/{name}"
    assert page_path(url, ID) == page_path(f"{url}/", ID) == page_path(f"{url}.html?a=/b#/c", ID) == f"{name}-{ID}/"
