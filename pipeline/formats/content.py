"""What every format says of an article alike: its contents as HTML, its summary, its photographs and films.

The newsroom's body is already sanitised; everything else is plain text and is escaped here, once for all formats.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import lxml.html

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.model.article import Article, Image, Video
    from pipeline.model.entry import Entry

SUMMARY_LENGTH = 300  # characters of a summary made from the body: about what readers' lists show
IMAGE_TYPE, VIDEO_TYPE = "image/jpeg", "video/mp4"  # where neither newsroom nor URL tells and the format demands a type

# RFC 6838 names, IANA media type registry. Not the `mimetypes` module: its answers depend on the machine's own files.
_TYPES = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "avif": "image/avif",
    "svg": "image/svg+xml",
    "mp4": "video/mp4",
    "m4v": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
    "ogv": "video/ogg",
    "m3u8": "application/vnd.apple.mpegurl",
}


@dataclass(frozen=True, slots=True)
class Attachment:
    """A photograph or film as something to fetch; `title` may be empty, size in bytes, duration in seconds."""

    url: str
    media_type: str
    title: str = ""
    size_bytes: int | None = None
    duration_seconds: float | None = None


def media_type_of(declared: str, url: str, otherwise: str = "") -> str:
    """What the newsroom declared, else what the URL's ending says, else `otherwise`."""
    return declared or _TYPES.get(urlsplit(url).path.rpartition(".")[2].lower(), otherwise)


def pictures(article: Article) -> tuple[Image, ...]:
    """The photographs, the lead first, then in the newsroom's order; one for each URL."""
    lead = article.lead_image
    ordered = ((lead,) if lead else ()) + article.images
    return tuple({image.url: image for image in reversed(ordered)}[url] for url in dict.fromkeys(i.url for i in ordered))


def films(article: Article) -> tuple[Video, ...]:
    """The films in the newsroom's order; one for each URL."""
    return tuple({video.url: video for video in reversed(article.videos)}[url] for url in dict.fromkeys(v.url for v in article.videos))


def whole_seconds(video: Video) -> int | None:
    """How long a film is, in whole seconds and never none at all: a length of 0 is a film that players pass over."""
    return None if video.duration_seconds is None else max(1, round(video.duration_seconds))


def attachments(article: Article) -> tuple[Attachment, ...]:
    """Every film, then every photograph, the lead before the others."""
    return (*(_film_to_fetch(video) for video in films(article)), *(_picture_to_fetch(image) for image in pictures(article)))


def enclosure(article: Article) -> Attachment | None:
    """The one thing RSS may enclose: the first film, else the lead photograph (one for each item: RSS Best Practices Profile)."""
    return next(iter(attachments(article)), None)


def sections(article: Article) -> tuple[str, ...]:
    """The names of the breadcrumb, outermost first, each once."""
    return tuple(dict.fromkeys(article.section))


def summary_of(article: Article) -> str:
    """The newsroom's summary, else the body's first paragraph as text of at most 300 characters, else the headline."""
    if article.summary:
        return article.summary
    body = _fragment(article.body_html)
    paragraphs: Iterable[str] = (_words(node.itertext()) for node in body.iter("p"))
    return short(next(filter(None, paragraphs), "") or _words(body.itertext()), SUMMARY_LENGTH) or article.headline


def short(text: str, length: int) -> str:
    """The text, or as many of its words as fit into `length` characters with an ellipsis after them."""
    if len(text) <= length:
        return text
    whole, space, _ = text[:length].rpartition(" ")
    return (whole if space else text[: length - 1]) + "…"


def body_text(article: Article) -> str:
    """The words of the body, one blank between them."""
    return _words(_fragment(article.body_html).itertext())


def contents_html(entry: Entry) -> str:
    """The whole article as an HTML fragment with absolute links.

    Order: correction, lead photograph, dateline, body, photographs and films the body does not show itself, sign-off, rights.
    """
    article = entry.article
    shown = _shown(article.body_html)
    lead, *others = pictures(article) or (None,)
    parts = [
        _paragraph("correction", article.correction.note) if article.correction else "",
        _figure(lead) if lead and lead.url not in shown else "",
        _paragraph("dateline", article.dateline),
        article.body_html,
        *(_figure(image) for image in others if image and image.url not in shown),
        *(_film(video) for video in films(article) if video.url not in shown),
        _paragraph("signoff", article.sign_off),
        _paragraph("rights", article.rights),
    ]
    return "\n".join(filter(None, parts))


def _picture_to_fetch(image: Image) -> Attachment:
    kind = media_type_of(image.media_type, image.url, IMAGE_TYPE)
    return Attachment(image.url, kind, image.caption or image.alt, image.size_bytes)


def _film_to_fetch(video: Video) -> Attachment:
    kind = media_type_of(video.media_type, video.url, VIDEO_TYPE)
    return Attachment(video.url, kind, video.caption, duration_seconds=video.duration_seconds)


def _paragraph(name: str, text: str) -> str:
    lines = escape(text).replace("\n", "<br>")
    return f'<p class="{name}">{lines}</p>' if text else ""


def _figure(image: Image) -> str:
    size = "".join(f' {name}="{pixels}"' for name, pixels in (("width", image.width), ("height", image.height)) if pixels)
    return f'<figure><img src="{escape(image.url)}" alt="{escape(image.alt)}"{size}>{_caption(image)}</figure>'


def _film(video: Video) -> str:
    # A link instead of a player: most readers drop `video`, and the W3C validator calls its `controls` a security risk.
    words = escape(video.caption or video.url)
    shown = f'<img src="{escape(video.thumbnail_url)}" alt="{words}">' if video.thumbnail_url else words
    return f'<figure class="video"><a href="{escape(video.url)}">{shown}</a>{_caption(video)}</figure>'


def _caption(shown: Image | Video) -> str:
    credit = f'<span class="credit">{escape(shown.credit)}</span>' if shown.credit else ""
    inside = " ".join(filter(None, (escape(shown.caption), credit)))
    return f"<figcaption>{inside}</figcaption>" if inside else ""


def _shown(body_html: str) -> frozenset[str]:
    if not any(tag in body_html for tag in ("<img", "<video", "<source")):  # sanitised HTML has its tags in lower case
        return frozenset()
    nodes = _fragment(body_html).iter("img", "video", "source")
    return frozenset(node.get("src", "") for node in nodes)


def _fragment(body_html: str) -> lxml.html.HtmlElement:
    return lxml.html.fragment_fromstring(body_html, create_parent="div")


def _words(texts: Iterator[str]) -> str:
    return " ".join(" ".join(texts).split())
