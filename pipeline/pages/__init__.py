"""Craft of `mirrors`: what a reader sees at a mirror domain, from frozen values to bytes. Pure."""

from __future__ import annotations

from pipeline.pages.article import Form, Shell, Told, article_page, form_of, shell, tell
from pipeline.pages.frame import FeedLink, PageFrame, ShareLink
from pipeline.pages.index import index_page
from pipeline.pages.notices import gone_page, moved_page, robots
from pipeline.pages.paths import page_path
from pipeline.pages.render import CONTENT_SECURITY_POLICY, STYLE_SHA256

__all__ = [
    "CONTENT_SECURITY_POLICY",
    "STYLE_SHA256",
    "FeedLink",
    "Form",
    "PageFrame",
    "ShareLink",
    "Shell",
    "Told",
    "article_page",
    "form_of",
    "gone_page",
    "index_page",
    "moved_page",
    "page_path",
    "robots",
    "shell",
    "tell",
]
