"""Which network addresses an outgoing request may reach.

A URL in an article or a subscription is a stranger's choice. The check is made on the numeric address that the
socket is about to connect to, because only there all spellings of a host (`127.1`, `0x7f000001`, a name with a
short life in DNS) have become the same thing.
"""

from __future__ import annotations

import ipaddress
import socket

# `ipaddress.is_global` alone passes each of these (seen with Python 3.11), or did in an earlier release.
_REFUSED = tuple(
    ipaddress.ip_network(block)
    for block in (
        "0.0.0.0/8",  # "this network": Linux connects 0.0.0.0 to loopback (RFC 1122 3.2.1.3)
        "100.64.0.0/10",  # carrier-grade NAT (RFC 6598)
        "192.0.0.0/24",  # IETF protocol assignments (RFC 6890)
        "168.63.129.16/32",  # the host agent of Azure's virtual machines (learn.microsoft.com, "What is IP address 168.63.129.16?")
        "192.88.99.0/24",  # 6to4 relay anycast, deprecated (RFC 7526)
        "198.18.0.0/15",  # benchmarking (RFC 2544)
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and the broadcast address
        "2001::/23",  # Teredo, ORCHID and other protocol assignments (RFC 2928)
        "2001:db8::/32",  # documentation (RFC 3849)
        "2002::/16",  # 6to4 carries an IPv4 address (RFC 3056)
        "3fff::/20",  # documentation (RFC 9637)
    )
)
# Everything handed out for the public internet; leaves out ::1, ::a.b.c.d, ::ffff:a.b.c.d, 64:ff9b::, fc00::, fe80::, fec0::, ff00::.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_OWN_BLOCKS = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fc00::/7", "::1/128")
_OWN = tuple(ipaddress.ip_network(block) for block in _OWN_BLOCKS)
# Where clouds hand out credentials outside link-local: AWS, Google.
_METADATA = frozenset({ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("fd20:ce::254")})

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _read(address: str) -> _Address | None:
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        return None


def is_public(address: str) -> bool:
    """Whether a numeric address is one of the public internet; what is no address is not."""
    ip = _read(address)
    if ip is None or (ip.version == 6 and ip not in _GLOBAL_UNICAST):  # noqa: PLR2004  # IP version 6
        return False
    return ip.is_global and not any(ip in block for block in _REFUSED)


def is_own(address: str) -> bool:
    """Whether a numeric address is loopback or an organisation's own (RFC 1918, RFC 4193).

    Link-local addresses are not among them: that is where clouds hand out credentials (169.254.169.254).
    """
    ip = _read(address)
    return ip is not None and ip not in _METADATA and any(ip in block for block in _OWN)


def is_numeric(host: str) -> bool:
    """Whether a host is already an address in its canonical spelling and needs no resolver."""
    return _read(host) is not None


def spelled(host: str) -> str | None:
    """The address that a host spells (`127.1`, `0x7f.1`, `017700000001`), as a resolver reads it without asking anybody, or None."""
    if is_numeric(host):
        return host
    try:
        return socket.inet_ntoa(socket.inet_aton(host)) if host.isascii() else None
    except OSError:
        return None


def is_local_name(host: str) -> bool:
    """Whether a name cannot be one of the public internet: without a dot, or below a name that is kept for local use.

    RFC 6761 (localhost, invalid, test), RFC 6762 (local), RFC 8375 (home.arpa), and `internal`, which ICANN has set apart.
    """
    name = host.lower().rstrip(".")
    return "." not in name or name.endswith((".localhost", ".local", ".internal", ".home.arpa", ".invalid", ".test"))


def resolve(host: str) -> tuple[str, ...]:
    """Every numeric address of a host, in the system resolver's order (RFC 6724). Raises OSError, UnicodeError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
