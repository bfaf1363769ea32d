"""Certificates are kept in a ring: the oldest makes room, also after a restart."""

from __future__ import annotations

from dicast.base.crypto import KeyPair
from dicast.base.limits import CERTIFICATES_KEPT_MAX
from dicast.base.types import RequestId
from dicast.protocol.archive import Archive
from dicast.protocol.effects import Effects
from dicast.protocol.outputs import Put
from dicast.protocol.settings import Identity


def request(number: int) -> RequestId:
    return RequestId(f"{number:064x}")


def keep(archive: Archive, numbers: range, tables: dict[str, dict[str, bytes]]) -> None:
    effects = Effects(Identity(KeyPair.from_seed(b"archive"), bytes(32)), "00" * 32)
    for number in numbers:
        archive.add(request(number), b"certificate %d" % number, effects)
        for write in effects.take().writes:
            table = tables.setdefault(write.table, {})
            if isinstance(write, Put):
                table[write.key] = write.value
            else:
                table.pop(write.key, None)


def test_the_newest_are_kept_and_a_restart_goes_on_where_it_was() -> None:
    tables: dict[str, dict[str, bytes]] = {}
    keep(Archive({}), range(CERTIFICATES_KEPT_MAX), tables)
    assert set(tables["certificate"]) == {request(number) for number in range(CERTIFICATES_KEPT_MAX)}
    keep(Archive(tables), range(CERTIFICATES_KEPT_MAX, CERTIFICATES_KEPT_MAX + 10), tables)
    assert set(tables["certificate"]) == {request(number) for number in range(10, CERTIFICATES_KEPT_MAX + 10)}
    assert len(tables["certificate_slot"]) == CERTIFICATES_KEPT_MAX


def test_a_round_that_is_certified_again_takes_no_second_slot() -> None:
    tables: dict[str, dict[str, bytes]] = {}
    keep(Archive({}), range(3), tables)
    keep(Archive(tables), range(2, 3), tables)
    assert tables["counter"]["certificates"] == b"3"
