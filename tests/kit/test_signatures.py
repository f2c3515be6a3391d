"""Standard Webhooks: the specification's vector, the reference package as oracle, and every way to be wrong."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from pipeline.kit.signatures import BadSignature, new_secret, parse_secret, sign, verify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TEXT = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, NOW, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
KEY = parse_secret(TEXT)
GOOD = {"webhook-id": ID, "webhook-timestamp": str(NOW), "webhook-signature": SIGNATURE}


def test_the_vector_of_the_specification() -> None:
    """Signing gives it, verifying takes it and answers the id."""
    assert sign(KEY, ID, NOW, BODY) == SIGNATURE
    assert verify(GOOD, BODY, [KEY], NOW) == ID


@given(st.binary(min_size=24, max_size=64), st.text("abcXYZ019_-:/", min_size=1, max_size=60), st.integers(0, 10**10), st.text())
def test_the_reference_package_signs_alike(secret: bytes, webhook_id: str, stamp: int, body: str) -> None:
    """Any secret, id, time and text."""
    oracle = Webhook(new_secret(secret)).sign(webhook_id, datetime.fromtimestamp(stamp, UTC), body)
    assert sign(secret, webhook_id, stamp, body.encode()) == oracle


@given(st.binary(min_size=24, max_size=64), st.binary(max_size=200), st.binary(max_size=200))
def test_only_the_signed_body_passes(secret: bytes, body: bytes, other: bytes) -> None:
    """One changed byte is enough."""
    headers = {**GOOD, "webhook-signature": sign(secret, ID, NOW, body)}
    assert verify(headers, body, [secret], NOW) == ID
    if other != body:
        with pytest.raises(BadSignature):
            verify(headers, other, [secret], NOW)


def refused(headers: Mapping[str, str], *, body: bytes = BODY, secrets: Sequence[bytes] = (KEY,), now: float = NOW) -> str:
    """The reason of a refusal, whose message is always the same."""
    with pytest.raises(BadSignature) as caught:
        verify(headers, body, secrets, now)
    assert str(caught.value) == "The signature could not be verified."
    return caught.value.reason


@pytest.mark.parametrize("name", sorted(GOOD))
def test_each_header_is_needed(name: str) -> None:
    """Missing or empty is the same."""
    assert name in refused({k: v for k, v in GOOD.items() if k != name})
    assert name in refused({**GOOD, name: ""})


@pytest.mark.parametrize(
    "stamp",
    [
        "1700.9",
        " 17 ",
        "1_7",
        "+5",
        "-5",
        "0x1",
        "1e9",
        "١٦١٤",
        "1614265330\n",
        "1614265330 ",
        "9" * 13,
        "NaN",
        "inf",
        "٣",
        "\0",
        "１６１４２６５３３０",
    ],
)
def test_time_stamps_are_plain_digits(stamp: str) -> None:
    """Also those the reference package accepts."""
    assert "timestamp" in refused({**GOOD, "webhook-timestamp": stamp})


@pytest.mark.parametrize(
    ("off", "passes"), [(-301, False), (-300, True), (0, True), (300, True), (301, False), (300.5, False), (float("nan"), False)]
)
def test_the_window_ends_both_ways(off: float, passes: bool) -> None:  # noqa: FBT001
    """Five minutes into the past and into the future, to the second."""
    if passes:
        assert verify(GOOD, BODY, [KEY], NOW + off) == ID
    else:
        refused(GOOD, now=NOW + off)


@pytest.mark.parametrize("webhook_id", ["a.b", ".", "", "a b", "a\nb", "a\0", "é", "x" * 201, "\ud800", "a\r\nX: y", " a", "a\u200b"])
def test_ids_that_are_none(webhook_id: str) -> None:
    """Though signed with the right secret; nor does the signer make one."""
    signature = "v1," + base64.b64encode(b"x" * 32).decode()
    assert "webhook-id" in refused({**GOOD, "webhook-id": webhook_id, "webhook-signature": signature})
    with pytest.raises(ValueError, match="webhook id"):
        sign(KEY, webhook_id, NOW, BODY)


@pytest.mark.parametrize(
    "signature",
    [
        "v1",
        "v1,",
        "v1,,",
        ",",
        " ",
        "v1,!!!",
        "v1,é",
        "v2," + SIGNATURE[3:],
        "V1," + SIGNATURE[3:],
        SIGNATURE[:-1],
        SIGNATURE + "=",
        SIGNATURE + "x",
        SIGNATURE.replace(",", ", "),
        SIGNATURE + "\n",
        "\t" + SIGNATURE,
        SIGNATURE[3:],
        "v1a," + SIGNATURE[3:],
        "v1," + "A" * 5000,
        "\0",
        " ".join([SIGNATURE] * 17),
        "v1,g0hM9SsE-OTPJTGt_tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "\ud800",
    ],
)
def test_signatures_that_are_none(signature: str) -> None:
    """Malformed, of another version, too many: one refusal, never another error."""
    refused({**GOOD, "webhook-signature": signature})


@given(st.dictionaries(st.sampled_from(sorted(GOOD)), st.text(max_size=60)), st.binary(max_size=40))
def test_no_header_brings_another_error(headers: dict[str, str], body: bytes) -> None:
    """Whatever a stranger sends."""
    refused({**GOOD, **headers} if headers else {}, body=body)


def test_other_versions_are_passed_over() -> None:
    """As the specification demands, in any order."""
    header = f"v1a,{SIGNATURE[3:]} v9,zzz v1,AAAA {SIGNATURE} nonsense"
    assert verify({**GOOD, "webhook-signature": header}, BODY, [KEY], NOW) == ID
    assert verify({**GOOD, "webhook-signature": " ".join(["v1,AAAA"] * 15 + [SIGNATURE])}, BODY, [KEY], NOW) == ID


def test_rotation() -> None:
    """Any of several secrets will do, and a sender may sign with two."""
    old, new = b"o" * 32, b"n" * 32
    headers = {**GOOD, "webhook-signature": f"{sign(old, ID, NOW, BODY)} {sign(new, ID, NOW, BODY)}"}
    for secrets in ([old], [new], [old, new], [b"x" * 32, new]):
        assert verify(headers, BODY, secrets, NOW) == ID
    refused(headers, secrets=[b"x" * 32])


def test_without_a_secret_nothing_passes() -> None:
    """Not even what an empty secret would sign."""
    assert "no secret" in refused({**GOOD, "webhook-signature": sign(b"", ID, NOW, BODY)}, secrets=[])


@given(st.binary(min_size=24, max_size=64))
def test_secrets_are_written_and_read(secret: bytes) -> None:
    """And the reference package reads them too."""
    assert parse_secret(new_secret(secret)) == secret


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_****",
        "whsec_canaryé",
        "WHSEC_" + TEXT[6:],
        TEXT + "=",
        TEXT + "\n",
        "whpk_" + TEXT[6:],
        "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
        "whsec_canary-_-_",
    ],
)
def test_secrets_that_are_none(text: str) -> None:
    """A sentence says what is wrong and does not repeat the secret."""
    with pytest.raises(ValueError, match="webhook secret") as caught:
        parse_secret(text)
    assert len(text) < 8 or text.removeprefix("whsec_").strip() not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("size", [0, 23, 65])
def test_new_secrets_have_the_right_length(size: int) -> None:
    """24 to 64 bytes."""
    with pytest.raises(ValueError, match="24 to 64"):
        new_secret(b"x" * size)
