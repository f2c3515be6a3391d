"""A page put together from its mirror's shell is the page its template would print, byte for byte."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from pipeline.pages.article import Told, form_of, shell
from pipeline.pages.render import page

if TYPE_CHECKING:
    from pipeline.pages import PageFrame

_TEXT = st.text(max_size=30) | st.sampled_from(["", "<b>", "a & b", '"', "'", "{{ x }}", "</title>", "ё", "日本", "\n"])
_TOLD = st.builds(
    Told,
    language=st.sampled_from(["en", "ar", "ru", "xx-unknown"]),
    headline=_TEXT,
    description=_TEXT,
    canonical=st.sampled_from(["https://a.example/?x=1&y=<z>", "HTTP://A.example/", "mailto:x@example.org", "", "javascript:x"]),
    rights=_TEXT,
    head=st.sampled_from([Markup(""), Markup('<meta name="author" content="A">\n')]),
    main=st.sampled_from([Markup("<article><p>“x”</p></article>\n"), Markup("x")]),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_TOLD, st.sampled_from(["canonical", "noindex", "independent"]), st.booleans())
def test_the_shell_around_an_article_is_its_template_printed(frame: PageFrame, told: Told, seo: str, owned: bool) -> None:  # noqa: FBT001
    """For every article, in every language, at every kind of mirror; the next article's page takes nothing of this one."""
    here = replace(frame, seo=seo, site=replace(frame.site, rights="© us" if owned else ""))
    made = shell(here, form_of(told))
    other = replace(told, headline="Another", head=Markup("<!-- other -->"))
    for one in (told, other, told):
        assert made.around(one) == page("article.html.j2", here, one.language, told=one)


@pytest.mark.parametrize("name", ["headline", "description", "canonical", "rights", "head", "main"])
def test_every_word_of_an_article_has_its_place(frame: PageFrame, name: str) -> None:
    """None is forgotten in the shell: each changes the page."""
    told = Told("en", "h", "d", "https://a.example/", "r", Markup("<i>"), Markup("<b>"))
    changed = replace(told, **{name: Markup("https://other.example/")})
    made = shell(frame, form_of(told))
    assert made.around(told) != made.around(changed)
