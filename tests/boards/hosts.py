"""Spellings of addresses that no outgoing request may reach, made by rule from the addresses themselves."""

from __future__ import annotations

import ipaddress
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

INNER = (
    "127.0.0.1", "127.0.0.2", "127.1.2.3", "127.255.255.254", "168.63.129.16", "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "169.254.169.254", "169.254.170.2", "172.16.0.1",
    "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.168.0.1", "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
)  # fmt: skip
INNER6 = (
    "::1",
    "::",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "fd00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "ff02::1",
    "100::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "2001::1",
    "2001:10::1",
    "2001:20::1",
)
_DIGITS = {"wide": 0xFF10, "bold": 0x1D7CE, "double": 0x1D7D8, "arabic": 0x0660, "circled": 0x245F, "deva": 0x0966}
_DOTS = "\u3002\uff0e\uff61\u2024\u00b7\u0701"


def spellings() -> Iterator[str]:
    """Hosts as they stand in a URL; some two thousand, of which many are no host at all to anybody but a careless parser."""
    for address in INNER:
        yield from dict.fromkeys(_ipv4(address))
        yield from (f"[{one}]" for one in _wrapped(address))
    for address in INNER6:
        full = ipaddress.IPv6Address(address).exploded
        yield from (
            f"[{address}]",
            f"[{address.upper()}]",
            f"[{full}]",
            f"[{full.upper()}]",
            address,
            f"[{address}%25lo]",
            f"[{address}%lo]",
            f"[{address}].",
            f"[{address}.]",
            f"[ {address}]",
        )
    names = (
        "localhost",
        "localhost.localdomain",
        "ip6-localhost",
        "ip6-loopback",
        "LOCALHOST",
        "LocalHost",
        "localhost.",
        "localhost..",
        "local\u00adhost",
        "loc\u0430lhost",
        "\uff4cocalhost",
        "lo\u200bcalhost",
    )
    yield from names
    yield from (
        f"{user}@{host}"
        for user in ("a", "a:b", "example.org", "example.org:80", "example.org%23", "example.org%00", "")
        for host in ("127.0.0.1", "[::1]", "localhost")
    )
    yield from (f"example.org{mark}@127.0.0.1" for mark in ("#", "?", "\\", "/", "%2f", "\t", "\n", "\u3002"))
    yield from (f"127.0.0.1{mark}.example.org" for mark in ("\\", "%00", "%2e", "\0", "\t", "#@", "?@", "&@"))


def _ipv4(address: str) -> Iterator[str]:
    one, two, three, four = parts = [int(part) for part in address.split(".")]
    number = int(ipaddress.IPv4Address(address))
    yield from (address, f"{address}.", f"{address}..", f".{address}", address.replace(".", ".."))
    yield from (f"{one}.{two}.{three * 256 + four}", f"{one}.{(two << 16) + (three << 8) + four}", str(number), f"{number}.")
    yield from (
        hex(number),
        hex(number).upper(),
        f"0{number:o}",
        f"0o{number:o}",
        f"{number + 2**32}",
        f"0x{number:016x}",
        f"0{number:020o}",
        f"-{2**32 - number}",
        f"{number}e0",
        f"+{number}",
        f"0b{number:b}",
    )
    for forms in itertools.product(("", "#x", "04o", "03", "#06X"), repeat=2):
        yield ".".join(format(part, form) for form, part in zip(itertools.cycle(forms), parts, strict=False))
    yield from (
        f"{one}.{two}.{three}.{four + 256}",
        f"{one + 256}.{two}.{three}.{four}",
        f"{address}.0",
        f"{one}.{two}.{three}.{four}/8",
        f"{one}.{two}.{three}. {four}",
    )
    yield from (address.replace(".", dot) for dot in _DOTS)
    yield from (
        "".join(chr(base + int(c)) if c.isdigit() and (c != "0" or name != "circled") else c for c in address)
        for name, base in _DIGITS.items()
    )
    yield from (
        "".join(f"%{ord(c):02x}" for c in address),
        address.replace(".", "%2e"),
        address.replace(".", "%252e"),
        f"{address}%00",
        f"{address}%20",
        f"%09{address}",
    )


def _wrapped(address: str) -> Iterator[str]:
    """IPv4 inside IPv6: mapped, compatible, translated, NAT64 (RFC 6052, 8215), 6to4, Teredo, ISATAP."""
    number = int(ipaddress.IPv4Address(address))
    high, low = number >> 16, number & 0xFFFF
    hidden = number ^ 0xFFFFFFFF
    for before in ("::ffff:", "::", "::ffff:0:", "64:ff9b::", "64:ff9b:1::", "64:ff9b:1:2:3::", "0:0:0:0:0:ffff:", "2001:db8:122:344::"):
        yield from (f"{before}{address}", f"{before}{high:x}:{low:x}", f"{before}{high:X}:{low:X}")
    yield from (f"2002:{high:x}:{low:x}::", f"2002:{high:x}:{low:x}::1", f"2002:{high:04x}:{low:04x}:0:0:0:0:{high:x}:{low:x}")
    yield from (
        f"2001:0:{high:x}:{low:x}::",
        f"2001:0:4136:e378:8000:63bf:{hidden >> 16:x}:{hidden & 0xFFFF:x}",
        f"fe80::5efe:{address}",
        f"fe80::200:5efe:{high:x}:{low:x}",
    )


OTHER_URLS = (
    "http:127.0.0.1/", "http:/127.0.0.1/", "http:///127.0.0.1/", "http:\\\\127.0.0.1\\", "//127.0.0.1/", "/\\127.0.0.1/", "http://127.0.0.1:80\\@example.org/", "HTTP://127.0.0.1/", "hTtP://localhost/", "http://example.org:80@127.0.0.1/",
    "gopher://127.0.0.1/", "dict://127.0.0.1/", "file:///etc/passwd", "file://127.0.0.1/etc/passwd", "ftp://127.0.0.1/", "unix:///var/run/docker.sock", "http+unix://%2Fvar%2Frun%2Fdocker.sock/x", "jar:http://127.0.0.1!/", "ldap://127.0.0.1/",
    "http://127.0.0.1\t/", "http://127.0.0.1\r\nHost: a/", "\thttp://127.0.0.1/", " http://127.0.0.1/", "http://\t127.0.0.1/", "http://127.0.0.1 /", "http://127.0.0.1#@example.org/", "http://127.0.0.1?@example.org/", "view-source:http://127.0.0.1/",
)  # fmt: skip
