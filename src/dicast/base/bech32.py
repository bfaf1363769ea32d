"""Bech32 (BIP 173) without its 90-character limit, as NIP-19 uses it."""

from __future__ import annotations

from collections.abc import Iterable

from dicast.base.errors import ConfigurationError

TEXT_CHARS_MAX = 5_000
"""NIP-19's own bound."""


class KeyTextError(ConfigurationError):
    """A key or an id that somebody typed is not one."""


def encode(prefix: str, data: bytes) -> str:
    """`prefix`, a `1`, the bytes in groups of five bits, and six characters of checksum."""
    groups = _regroup(data, 8, 5)
    checksum = _polymod([*_expand(prefix), *groups, *bytes(6)]) ^ 1
    tail = [(checksum >> 5 * (5 - place)) & 31 for place in range(6)]
    return prefix + "1" + "".join(_ALPHABET[group] for group in [*groups, *tail])


def decode(text: str) -> tuple[str, bytes]:
    """The prefix and the bytes; `KeyTextError` for anything that `encode` cannot have written."""
    if len(text) > TEXT_CHARS_MAX or not text.isascii() or (text != text.lower() and text != text.upper()):
        raise KeyTextError("bech32_text", "The key is too long or mixes upper and lower case.", _AGAIN)
    prefix, mark, rest = text.lower().rpartition("1")
    if not mark or not prefix or len(rest) < 6 or not all(character in _ALPHABET for character in rest):
        raise KeyTextError("bech32_text", "The key holds a character that no such key has.", _AGAIN)
    groups = [_ALPHABET.index(character) for character in rest]
    if _polymod([*_expand(prefix), *groups]) != 1:
        raise KeyTextError(
            "bech32_checksum", "The key's checksum is wrong: a character was mistyped.", _AGAIN
        )
    data = bytes(_regroup(groups[:-6], 5, 8))
    if _regroup(data, 8, 5) != groups[:-6]:
        raise KeyTextError("bech32_padding", "The key's last bits are not zero.", _AGAIN)
    return prefix, data


def _regroup(groups: Iterable[int], bits_in: int, bits_out: int) -> list[int]:
    """The same bits in groups of another width; an incomplete last group is padded or, widening, dropped."""
    out: list[int] = []
    window = width = 0
    for group in groups:
        window = (window << bits_in | group) & 0xFFF
        width += bits_in
        while width >= bits_out:
            width -= bits_out
            out.append(window >> width & (1 << bits_out) - 1)
    if width and bits_out < bits_in:
        out.append(window << (bits_out - width) & (1 << bits_out) - 1)
    return out


def _expand(prefix: str) -> list[int]:
    codes = prefix.encode("ascii")
    return [*(code >> 5 for code in codes), 0, *(code & 31 for code in codes)]


def _polymod(groups: Iterable[int]) -> int:
    checksum = 1
    for group in groups:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ group
        for bit, generator in enumerate(_GENERATORS):
            checksum ^= generator if top >> bit & 1 else 0
    return checksum


_AGAIN = "Copy it again, whole: it looks like npub1… or nsec1…."
_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
