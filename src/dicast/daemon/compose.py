"""The composition root: the only place that knows every part. Settings in, a driven node out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import msgspec

from dicast.base.crypto import KeyPair
from dicast.base.errors import AdapterError
from dicast.daemon import builtin_content, plugins
from dicast.daemon.beacon_file import BeaconFile
from dicast.daemon.config_schema import Settings
from dicast.daemon.driver import Driver, Parts
from dicast.daemon.given import given_places, with_given
from dicast.daemon.lazy_embedder import LazyEmbedder
from dicast.daemon.logs import Log
from dicast.daemon.paths import Paths
from dicast.daemon.private_network import content_reader, secret_of
from dicast.daemon.service import Service
from dicast.ports import Embedder, Engine, Store, Transport
from dicast.protocol.messages import Role
from dicast.protocol.node import Node
from dicast.protocol.records import Table
from dicast.protocol.settings import Identity, NodeSettings
from dicast.version import VERSION

SOFTWARE = f"dicast/{VERSION}"


class Composed(msgspec.Struct, frozen=True):
    """A node ready to be driven, and what answers calls about it."""

    driver: Driver
    service: Service
    offers: NodeSettings


def compose(settings: Settings, paths: Paths, identity: Identity, log: Log) -> Composed:
    """Build every part of a node. The caller holds the state folder's lock. Raises DicastError."""
    served = builtin_content.pages(settings, paths)
    seeded = builtin_content.blob_store(settings, paths).folder if settings.content.seed else None
    secret = secret_of(settings)
    surroundings = plugins.Surroundings("", paths.state_dir, settings.relays, identity.key, served, seeded)
    if secret is not None:
        surroundings = msgspec.structs.replace(surroundings, content_of=content_reader(secret))
    given = given_places(settings)
    settings = with_given(settings, given)
    transports = _transports(settings, surroundings)
    embedders = _embedders(settings, surroundings, log)
    engines = _engines(settings, surroundings) if Role.WORKER in settings.roles else []
    offers = NodeSettings(
        network=settings.network,
        roles=settings.roles,
        embedders=tuple(sorted(embedders)),
        slots=settings.slots,
        software=SOFTWARE,
        secret=secret,
    )
    beacons = (BeaconFile(Path(settings.beacon_file), log),) if settings.beacon_file else ()
    store = cast("Store", plugins.build(plugins.STORES, settings.store, {}, surroundings))
    try:
        node = Node(identity, offers, tables=_tables(store))
    except BaseException:
        store.close()
        raise
    blobs = builtin_content.QuestionBlobs(settings, paths)
    parts = Parts(store, transports, engines, embedders, beacons, given=given, blobs=blobs)
    driver = Driver(node, parts, log)
    return Composed(driver, Service(driver, settings, offers), offers)


def engines_of(settings: Settings, paths: Paths) -> list[Engine]:
    """The engines alone, for those who only want to look at them."""
    return _engines(settings, plugins.Surroundings("", paths.state_dir, (), KeyPair.from_seed(b"looking")))


def _transports(settings: Settings, surroundings: plugins.Surroundings) -> list[Transport]:
    """Without relays there is nobody to talk to, and a node that works alone can still run."""
    built: list[Transport] = []
    for name, table in _enabled(settings.transports):
        if name != "nostr" or settings.relays:
            built.append(cast("Transport", plugins.build(plugins.TRANSPORTS, name, table, surroundings)))
    return built


def _engines(settings: Settings, surroundings: plugins.Surroundings) -> list[Engine]:
    return [
        cast("Engine", plugins.build(plugins.ENGINES, name, table, surroundings))
        for name, table in _enabled(settings.engines)
    ]


def _embedders(settings: Settings, surroundings: plugins.Surroundings, log: Log) -> dict[str, Embedder]:
    """A node that votes loads its embedders now, and finds a damaged file now; others when they must."""
    found: dict[str, Embedder] = {}
    for name, table in _enabled(settings.embedders):
        try:
            embedder = cast("Embedder", plugins.build(plugins.EMBEDDERS, name, table, surroundings))
            if settings.roles and isinstance(embedder, LazyEmbedder):
                embedder.load()
        except AdapterError as error:
            log.warning(error.code, embedder=name, reason=str(error))
        else:
            found[embedder.name] = embedder
    return found


def _enabled(tables: Mapping[str, Mapping[str, object]]) -> Iterator[tuple[str, dict[str, object]]]:
    """Every table of settings that does not say `enabled = false`."""
    for name, table in tables.items():
        rest = {key: value for key, value in table.items() if key != "enabled"}
        if plugins.is_on(table):
            yield name, rest


def _tables(store: Store) -> dict[str, Mapping[str, bytes]]:
    """What the node reads when it starts. Of certificates only which there are: they may weigh a gigabyte."""
    tables: dict[str, Mapping[str, bytes]] = {
        table.value: dict(store.load(table.value)) for table in Table if table is not Table.CERTIFICATE
    }
    certificates = Table.CERTIFICATE.value
    tables[certificates] = {
        request_id: b""
        for request_id in tables[Table.ROUND.value]
        if store.get(certificates, request_id) is not None
    }
    return tables
