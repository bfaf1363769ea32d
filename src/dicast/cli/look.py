"""`dicast status`, `peers` and `rounds`: what the node running here does and knows."""

from __future__ import annotations

import asyncio
from pathlib import Path

from dicast.base.nip19 import encode_npub
from dicast.cli.common import DEFAULTS, Common
from dicast.cli.output import note, print_result, table
from dicast.client import AsyncClient
from dicast.daemon import api
from dicast.daemon.files import write_file
from dicast.protocol.acquaintance import PATHS_MIN


def status(*, common: Common = DEFAULTS) -> None:
    """What the node running here does. Exit 4 when none runs: fit for a container's health check."""
    value = asyncio.run(_client(common).status())
    print_result(value, _status_text(value), common.json)


def peers(*, common: Common = DEFAULTS) -> None:
    """The nodes that the node running here knows."""
    known = asyncio.run(_client(common).peers())
    rows = [
        (
            encode_npub(peer.node_id)[:20] + "…",
            ",".join(peer.roles) or "-",
            ",".join(peer.models) or "-",
            f"{peer.load}/{peer.slots}",
            peer.software,
        )
        for peer in known
    ]
    print_result(known, table(("node", "roles", "models", "load", "software"), rows), common.json)


def transports(*, common: Common = DEFAULTS) -> None:
    """The networks that the node running here is on. Exit 4 when none runs."""
    found = asyncio.run(_client(common).status()).transports
    print_result(found, _transports_text(found), common.json)


def rounds(request: str = "", /, *, certificate: Path | None = None, common: Common = DEFAULTS) -> None:
    """The rounds of the node running here; with a round's id, its certificate.

    Parameters
    ----------
    request
        A request id, or its beginning.
    certificate
        Write the certificate to this file; - or nothing prints it.
    """
    if not request:
        found = asyncio.run(_client(common).rounds())
        print_result(found, _rounds_text(found), common.json)
        return
    content = asyncio.run(_client(common).certificate(request))
    if certificate is None or str(certificate) == "-":
        print_result(None, content.decode(), as_json=False)
    else:
        write_file(certificate, content)
        note(f"certificate: {certificate}")


def _client(common: Common) -> AsyncClient:
    return AsyncClient(common.paths().state_dir)


def _network_in_words(value: api.StatusResult) -> str:
    if not value.private:
        return value.network
    lonely = "; nobody is heard: the others' name or passphrase may differ" if not value.peers else ""
    return f"{value.network}, private (topic {value.topic[:12]}…{lonely})"


def _paths_text(paths: dict[str, int]) -> str:
    if not paths:
        return "none: nobody is connected"
    few = "; looking for more" if sum(paths.values()) < PATHS_MIN else ""
    return f"{sum(paths.values())} ({', '.join(f'{name} {count}' for name, count in paths.items())}{few})"


def _status_text(value: api.StatusResult) -> str:
    lines = [
        f"node       {encode_npub(value.node_id)}",
        f"network    {_network_in_words(value)}",
        f"roles      {', '.join(value.roles) or 'none (follower)'}",
        f"models     {', '.join(value.models) or 'none'}",
        f"embedders  {', '.join(value.embedders) or 'none: this node cannot vote'}",
        f"peers      {value.peers}",
        f"paths      {_paths_text(value.paths)}",
        f"rounds     {value.open_rounds} open",
        f"packets    {value.packets_received} in, {value.packets_sent} out, {value.packets_dropped} dropped",
        f"refused    {', '.join(f'{name} {count}' for name, count in value.refused.items()) or 'none'}",
        f"memory     {value.memory_mb} MB",
        f"running    {value.uptime_s} s, process {value.pid}, version {value.version}",
    ]
    for transport in value.transports:
        lines.append(f"{transport.name:<10} {transport.state}: {transport.detail}")
    return "\n".join(lines)


def _transports_text(found: tuple[api.TransportStatus, ...]) -> str:
    """`first` is the share of packets that came by this transport before any other.

    `behind` is by how much, in the median and the 95th percentile; `trip` to its server and back.
    """
    every = sum(one.first for one in found) or 1
    rows = [
        (
            one.name,
            one.state,
            str(len(one.peers)),
            str(one.sent),
            str(one.received),
            str(one.dropped + one.oversized + one.failed),
            f"{100 * one.first // every} %",
            "-" if one.lag_median_ms is None else f"{one.lag_median_ms}/{one.lag_p95_ms} ms",
            "-" if one.round_trip_ms is None else f"{one.round_trip_ms} ms",
            one.detail,
        )
        for one in found
    ]
    titles = ("transport", "state", "peers", "sent", "received", "dropped", "first", "behind", "trip", "")
    return table(titles, rows)


def _rounds_text(found: tuple[api.RoundRecord, ...]) -> str:
    rows = [
        (
            record.request_id[:16],
            record.role or "requester",
            record.state,
            str(record.seats or ""),
            f"{record.commits}/{record.reveals}/{record.signatures}" if record.seats else "",
            "yes" if record.has_certificate else "",
        )
        for record in found
    ]
    return table(("request", "role", "state", "seats", "commits/reveals/signatures", "certificate"), rows)
