"""What is sent of a sample: its pictures at the instance that serves them, and every other address as it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pipeline.cli import demo, sending
from tests.conftest import settings_in

if TYPE_CHECKING:
    from pathlib import Path

HERE = "http://127.0.0.1:8499/"
NOW = "2026-11-23T08:00:00Z"


@pytest.mark.parametrize("path", demo.samples(), ids=lambda path: path.stem)
def test_a_sample_is_sent_with_pictures_the_instance_serves(tmp_path: Path, path: Path) -> None:
    """Every photograph and poster; nothing else of it changes."""
    event = sending.event_from(path, NOW, settings_in(tmp_path))
    data = event["data"]
    named = [i["url"] for i in data.get("images", ())] + [v["thumbnail_url"] for v in data.get("videos", ())]
    assert all(url.startswith(f"{HERE}static/examples/") for url in named)
    as_written = json.dumps(event).replace(f"{HERE}static/examples/", "https://images.example.org/2026/11/")
    assert json.loads(as_written) == json.loads(path.read_text("utf-8"))


@pytest.mark.parametrize(
    "url",
    [
        "https://images.example.org/2026/11/nobody-drew-this.jpg",
        "https://images.example.org/2026/12/island-ferry.jpg",
        "https://images.example.com/2026/11/island-ferry.jpg",
        "https://images.example.org/2026/11/../island-ferry.jpg",
    ],
)
def test_another_address_is_sent_as_it_stands(tmp_path: Path, url: str) -> None:
    """Only the very addresses of the samples' own pictures are known."""
    file = tmp_path / "article.json"
    file.write_text(json.dumps({"id": "a", "images": [{"url": url}]}), "utf-8")
    assert sending.event_from(file, NOW, settings_in(tmp_path))["data"]["images"] == [{"url": url}]
