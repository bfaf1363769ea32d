"""`/api/rounds`, `/api/certificates` and `/api/search`."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import OrderedDict

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dicast.base.nip19 import encode_npub
from dicast.daemon.history import HistoryPage, Papers, Wanted
from dicast.gateway.errors import GatewayError
from dicast.gateway.guard import scope_missing
from dicast.gateway.keys import Scope
from dicast.gateway.native.detail import detail_of
from dicast.gateway.native.node_records import Found, NodeView
from dicast.gateway.native.queries import CertificatesQuery, RoundsQuery, SearchQuery, read_query
from dicast.gateway.native.records import CertificateSummary, RoundPage
from dicast.gateway.parts import Parts, caller_of
from dicast.gateway.replies import json_response
from dicast.gateway.told import CERTIFICATE_PATH
from dicast.protocol.certificate import CertificateError, Verification, verify

REQUEST_ID = re.compile(r"[0-9a-f]{64}")
WORKING_MAX = 2
"""Rounds laid out at a time: each takes a thread, and a core where there is one."""
DETAILS_KEPT_MAX = 32
"""Decided rounds, which do not change: as many as somebody clicks through."""
DETAIL_BYTES_MAX = 1024 * 1024
"""Larger ones are made anew: 32 of these are enough memory."""


class RoundRoutes:
    """What was asked here, and how it ended."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._working = asyncio.Semaphore(WORKING_MAX)
        self._details: OrderedDict[str, bytes] = OrderedDict()

    async def every(self, request: Request) -> Response:
        """A page of rounds."""
        query = read_query(request.query_params, RoundsQuery)
        wanted = Wanted(
            limit=query.limit,
            before=query.cursor,
            state=query.state,
            outcome=query.outcome,
            role=query.role,
            model=query.model,
            text=query.q,
        )
        return _page(await self._parts.client.history(wanted))

    async def certified(self, request: Request) -> Response:
        """A page of rounds that have a certificate."""
        query = read_query(request.query_params, CertificatesQuery)
        wanted = Wanted(limit=query.limit, before=query.cursor, certified=True)
        return _page(await self._parts.client.history(wanted))

    async def one(self, request: Request) -> Response:
        """Everything about a round."""
        return Response(
            await self.detail(checked_id(request, "round_missing")), media_type="application/json"
        )

    async def detail(self, request_id: str) -> bytes:
        """A round laid out, as JSON. Raises DicastError."""
        kept = self._details.get(request_id)
        if kept is not None:
            self._details.move_to_end(request_id)
            return kept
        papers = await self._parts.client.round(request_id)
        async with self._working:
            body = await asyncio.to_thread(_encoded_detail, papers)
        if papers.verdict is not None and len(body) <= DETAIL_BYTES_MAX:
            self._details[request_id] = body
            while len(self._details) > DETAILS_KEPT_MAX:
                self._details.popitem(last=False)
        return body

    async def certificate(self, request: Request) -> Response:
        """The certificate of a round, as `dicast verify` reads it."""
        _, content = await self._certificate(request)
        return Response(content, media_type="application/json")

    async def checked(self, request: Request) -> Response:
        """What the gateway's own check of a certificate says."""
        request_id, content = await self._certificate(request)
        async with self._working:
            return json_response(await asyncio.to_thread(check_certificate, request_id, content))

    async def search(self, request: Request) -> Response:
        """Rounds, nodes and models in which a text stands."""
        query = read_query(request.query_params, SearchQuery)
        wanted = Wanted(limit=query.limit, text=query.q)
        page, status, peers = await asyncio.gather(
            self._parts.client.history(wanted), self._parts.client.status(), self._parts.client.peers()
        )
        text = query.q.casefold()
        nodes = (NodeView(npub=encode_npub(peer.node_id), node=peer) for peer in peers)
        found = [one for one in nodes if any(text in word.casefold() for word in _words(one))]
        models = {*status.models, *(model for peer in peers for model in peer.models)}
        names = sorted(model for model in models if text in model.casefold())
        return json_response(Found(page.items, tuple(found[: query.limit]), tuple(names[: query.limit])))

    async def _certificate(self, request: Request) -> tuple[str, bytes]:
        """The one that is wanted: keys that only ask get those of their own rounds. Raises GatewayError."""
        request_id, caller = checked_id(request, "certificate_missing"), caller_of(request)
        rounds = self._parts.asker.ledger.rounds
        if not caller.is_allowed(Scope.READ) and not rounds.is_of(caller.record, request_id):
            raise scope_missing(Scope.READ)
        return request_id, await self._parts.client.certificate(request_id)


def checked_id(request: Request, code: str) -> str:
    """The request id in the path. Raises GatewayError `code`."""
    request_id = request.path_params["request_id"]
    if REQUEST_ID.fullmatch(request_id) is None:
        raise GatewayError(code, "A request id is 64 hex digits.")
    return request_id


def check_certificate(request_id: str, content: bytes) -> CertificateSummary:
    """Check it without an embedder: signatures, digests, draw and verdict."""
    fault, detail = None, ""
    found: Verification | None = None
    try:
        found = verify(content, None)
    except CertificateError as error:
        fault, detail = error.fault.value, error.detail
    return CertificateSummary(
        request_id=request_id,
        holds=found is not None,
        fault=fault,
        detail=detail,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        signed_seats=0 if found is None else found.signed_seats,
        inputs_witnessed=found is not None and found.inputs_witnessed,
        panel=None if found is None else found.panel.value,
        embeddings=None if found is None else found.embeddings.value,
        url=f"{CERTIFICATE_PATH}{request_id}",
    )


def _encoded_detail(papers: Papers) -> bytes:
    return msgspec.json.encode(detail_of(papers))


def _page(page: HistoryPage) -> Response:
    return json_response(RoundPage(page.items, page.next_cursor or None))


def _words(one: NodeView) -> tuple[str, ...]:
    return (one.npub, one.node.node_id, one.node.software, *one.node.models, *one.node.roles)
