"""`dicast verify`: check a certificate offline, and say what it proves and what it does not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from dicast.base.errors import AdapterError, ConfigurationError
from dicast.base.nip19 import encode_npub
from dicast.cli.common import ANY_NETWORK, DEFAULTS, Common, NetworkName, OrStandardInput
from dicast.cli.exit_codes import Exit
from dicast.cli.output import fields_of, note, print_error, print_result, printable
from dicast.cli.progress import NOT_TRUTH, percent, reason_in_words, rejected_lines
from dicast.consensus.constants import EMBEDDER
from dicast.daemon.beacon_file import read_beacons
from dicast.daemon.private_network import secret_of
from dicast.protocol.certificate import (
    CERTIFICATE_BYTES_MAX,
    CertificateError,
    EmbeddingCheck,
    Fault,
    PanelProof,
    Verification,
)
from dicast.protocol.certificate import verify as verify_certificate
from dicast.protocol.envelope import PacketReader

SEALED_HINT = "If it is from a private network: --network NAME --passphrase-file FILE."
"""What is sealed is not wrong; it cannot be read without the key."""

Embed = Callable[[str, Sequence[str]], list[bytes] | None]


def verify(
    file: OrStandardInput,
    /,
    *,
    weights: Path | None = None,
    beacon_file: Path | None = None,
    network: NetworkName = ANY_NETWORK,
    common: Common = DEFAULTS,
) -> int:
    """Check a certificate offline: every signature, digest, embedding and step. Exit 5 when it does not hold.

    Parameters
    ----------
    file
        The certificate; - reads standard input.
    weights
        The embedder's weights, if neither installed nor in the cache.
    beacon_file
        Beacon values that you recorded yourself, a line of JSON each: what a drawn panel is held against.
    """
    content = _read(file)
    reader = PacketReader(secret_of(common.load(**network.flags()).settings))
    embed = _embedder(weights)
    beacons = read_beacons(beacon_file) if beacon_file is not None else {}
    try:
        found = verify_certificate(content, embed, reader, beacons)
    except CertificateError as error:
        print_error(
            f"certificate_{error.fault.value}",
            f"The certificate does not hold: {error.detail.rstrip('.')}.",
            SEALED_HINT if error.fault is Fault.SEALED else "",
            common.json,
        )
        return Exit.INVALID
    print_result({**fields_of(found), "valid": True}, describe(found), common.json)
    return Exit.DONE


def describe(found: Verification) -> str:
    """What a certificate that holds proves, line by line."""
    verdict = found.verdict
    agreed = f"{verdict.ball_size} of {verdict.n} seats agree, {verdict.need} needed"
    lines = ["valid: these inputs give this output"]
    lines.append(f"  question   {_short(found.prompt)}")
    if verdict.answer is not None:
        lines.append(f"  answer     {_short(verdict.answer)}")
        lines.append(f"  verdict    accepted: {agreed}")
    else:
        lines.append(f"  verdict    undetermined: {reason_in_words(verdict)}")
    lines += [f"           {line}" for line in rejected_lines(verdict)]
    lines.append(f"  embeddings {_embeddings(found)}")
    if found.encrypted:
        lines.append("  privacy    the round was encrypted to its members; this file carries its key")
    lines.append(f"  panel      {_panel(found)}")
    lines.append(f"  inputs     {_inputs(found)}")
    lines.append(f"  requester  {encode_npub(found.requester)}")
    models = sorted(set(found.models.values()))
    lines.append(f"  models     {', '.join(map(printable, models)) or 'none'}")
    if found.attempt > 1:
        lines.append(f"  attempt    {found.attempt}, after {found.previous[:12]}")
    lines.append(f"  {NOT_TRUTH}")
    return "\n".join(lines)


def _embeddings(found: Verification) -> str:
    if found.embeddings is EmbeddingCheck.RECOMPUTED:
        return "recomputed here with these weights: all equal"
    if found.embeddings is EmbeddingCheck.NOT_NEEDED:
        return "none was needed: equal texts agree, or nothing was revealed"
    return "NOT checked: the embedder's weights are not here (dicast models get minilm)"


def _panel(found: Verification) -> str:
    round_ = f"beacon round {found.beacon_round}"
    match found.panel:
        case PanelProof.DRAWN:
            return f"drawn: the seats follow from the requester's list of candidates and {round_}, known here"
        case PanelProof.DRAW_UNCHECKED:
            return (
                f"the requester's word: the seats follow from {round_} = {found.beacon[:16]}…, "
                "NOT known here (--beacon-file)"
            )
        case PanelProof.REQUESTERS_WORD:
            pass
    return f"the requester's word: it chose the nodes itself ({found.admission.value})"


def _inputs(found: Verification) -> str:
    seats = f"{found.signed_seats} of {found.verdict.n} seats signed them"
    if found.verdict.n == 1:
        return f"one node answered, nobody else saw it: {seats}"
    if found.inputs_witnessed:
        return f"{seats}: nobody can show other inputs unnoticed"
    enough = max(found.verdict.need, found.verdict.n // 2 + 1)
    return f"one sealer's word: {seats}, {enough} would be needed"


def _short(text: str) -> str:
    line = " ".join(printable(text).split())
    return line if len(line) <= 200 else line[:199] + "…"


def _read(file: str) -> bytes:
    try:
        if file == "-":
            return sys.stdin.buffer.read(CERTIFICATE_BYTES_MAX + 1)
        with Path(file).open("rb") as stream:
            return stream.read(CERTIFICATE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigurationError(
            "certificate_unreadable",
            f"{file} cannot be read: {error.strerror}.",
            "Name the file that ask wrote.",
        ) from error


def _embedder(weights: Path | None) -> Embed | None:
    """The reader's own embedder, if its weights are here; a named file must work."""
    from dicast.daemon.builtin import minilm_from

    try:
        embedder = minilm_from(weights)
        if weights is not None:
            embedder.load()
    except AdapterError as error:
        if weights is not None:
            raise
        note(f"note: {error.message} {error.next_step}")
        return None

    def embed(name: str, texts: Sequence[str]) -> list[bytes] | None:
        return embedder.embed(texts) if name == EMBEDDER else None

    return embed


__all__ = ["describe", "percent", "verify"]
