"""The node that was asked, as one of those that can be asked."""

from __future__ import annotations

from dicast.daemon.api import PeerRecord, StatusResult


def own_record(status: StatusResult) -> PeerRecord:
    """What a node says of itself, in the form in which it speaks of others."""
    return PeerRecord(
        node_id=status.node_id,
        roles=status.roles,
        models=status.models,
        embedders=status.embedders,
        slots=status.slots,
        load=status.load,
        software=f"dicast/{status.version}",
        is_self=True,
        contexts={one.name: one.context_tokens for engine in status.engines for one in engine.models},
    )
