"""`pressrun preview`: what an article would look like in every outlet, as files. Nothing is stored or sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline import building, mirror_documents
from pipeline.cli import NO, offline, options
from pipeline.model.entry import Entry
from pipeline.networks import NETWORKS, to_json
from pipeline.pages import ShareLink, article_page, page_path
from pipeline.rules.routes import why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.model.settings import Site


@click.command("preview", epilog="Example: pressrun preview article.json --out preview")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
@click.option("--source", help="Source whose dialect and site's rules to use.")
@options.config
def command(file: Path, out: Path, source: str | None, *, config: Path | None) -> int:
    """Render FILE for every outlet that would take it, into a folder."""
    where = offline.room(config, source)
    decided = offline.decision(where, file)
    if decided.article is None or decided.candidate is None:
        click.echo("\n".join(f"{p.pointer or '/'}: {p.detail}" for p in decided.problems) or "A withdrawal has no preview.", err=True)
        return NO
    candidate = decided.candidate
    modified = decided.article.updated_at or decided.article.published_at
    entry = Entry(candidate.identity, candidate.short_id, 1, decided.article.url, decided.article, modified)
    for name, body in _renderings(where.site, entry):
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body)
        click.echo(str(target))
    return 0


def _renderings(site: Site, entry: Entry) -> Iterator[tuple[str, bytes]]:
    links = []
    for network in (n for n in site.networks if not n.closed and not why_not(entry.article, n.rules)):
        share = NETWORKS[network.name].compose(building.for_sharing(site, network, entry), site, network)
        links.append(ShareLink(network.name, NETWORKS[network.name].title, share.intent_url))
        yield f"shares/{network.name}.json", json.dumps(to_json(share), ensure_ascii=False, indent=2).encode() + b"\n"
    for mirror in (m for m in site.mirrors if not m.closed and not why_not(entry.article, m.rules)):
        page = mirror.base_url + page_path(entry.article.url, entry.short_id)
        yield f"mirrors/{mirror.name}.html", article_page(building.with_link(entry, page), mirror_documents.frame(site, mirror), links)
    for feed in (f for f in site.feeds if not f.closed and not why_not(entry.article, f.rules)):
        edition, base = building.Edition(feed.name, ()), building.origin_base(site)
        for fmt in building.formats_of(feed):
            head = building.head(site, base, feed, fmt, edition, entry.modified_at)
            yield f"{fmt.folder}/{feed.name}.{fmt.extension}", fmt.document(head, [fmt.entry(entry, head)])
