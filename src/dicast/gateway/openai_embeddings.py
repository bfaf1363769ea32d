"""`/v1/embeddings`: the bits that votes compare, as unit vectors of plus and minus."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from dicast.base.errors import DicastError
from dicast.consensus.constants import EMBEDDER, EMBEDDER_BITS
from dicast.gateway.bodies import read_body
from dicast.gateway.errors import GatewayError, invalid, of_node, unsupported
from dicast.gateway.frames import ANY_MODEL
from dicast.gateway.parts import Parts
from dicast.gateway.replies import json_response
from dicast.gateway.spending import SPENDER

NAMES = (EMBEDDER, EMBEDDER.partition("/")[0], ANY_MODEL)
"""What the embedder of votes may be called; a shorter name leaves its number of bits out."""
FORMATS = ("float", "base64")


class EmbeddingsRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body; `input` is one text or several."""

    model: str
    input: Any
    encoding_format: str = "float"
    dimensions: int | None = None
    user: str | None = None


class EmbeddingsRoute:
    """Answers `POST /v1/embeddings`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def post(self, request: Request) -> Response:
        """One vector a text. Every node computes the same, so nobody has to agree on it."""
        body = await read_body(request, EmbeddingsRequest, self._parts.budgets.body_s)
        texts = _texts(body)
        ledger, spender = self._parts.asker.ledger, SPENDER.get()
        with ledger.spending(spender, 0, rounds=0) as bill:
            try:
                found = await self._parts.client.embed(texts, EMBEDDER)
            except DicastError as error:
                raise _refusal(error) from error
            bill.pay(0, sum(found.tokens))
        vectors = [vector_of(one, found.bits) for one in found.embeddings]
        data = [
            {"object": "embedding", "index": index, "embedding": _written(vector, body.encoding_format)}
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": sum(found.tokens), "total_tokens": sum(found.tokens)}
        return json_response({"object": "list", "model": found.embedder, "data": data, "usage": usage})


def vector_of(packed: str, bits: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A unit vector whose signs are the bits: its cosines are what Hamming distances are."""
    signs = np.unpackbits(np.frombuffer(bytes.fromhex(packed), np.uint8), count=bits).astype(np.float32)
    return ((2 * signs - 1) / np.sqrt(np.float32(bits))).astype("<f4")


def _texts(body: EmbeddingsRequest) -> tuple[str, ...]:
    if body.model not in NAMES:
        message = f"There is one embedder, {NAMES[0]}; it is no model {body.model[:64]!r}."
        raise GatewayError("model_not_found", message, field="model")
    if body.encoding_format not in FORMATS:
        raise invalid("encoding_format", f"it is one of {', '.join(FORMATS)}.")
    if body.dimensions not in (None, EMBEDDER_BITS[EMBEDDER]):
        raise unsupported("dimensions", f"An embedding has {EMBEDDER_BITS[EMBEDDER]} of them.")
    given = [body.input] if isinstance(body.input, str) else body.input
    try:
        texts = msgspec.convert(given, tuple[str, ...])
    except msgspec.ValidationError as error:
        raise unsupported("input", "It is one text or several; tokens do not travel.") from error
    if not texts or not all(text.strip() for text in texts):
        raise invalid("input", "there is no text, or one is empty.")
    return texts


def _written(vector: np.ndarray[Any, np.dtype[np.float32]], form: str) -> Any:
    return base64.b64encode(vector.tobytes()).decode() if form == "base64" else vector.tolist()


def _refusal(error: DicastError) -> GatewayError:
    match error.code:
        case "text_too_long":
            return GatewayError("context_length_exceeded", error.message, field="input")
        case "texts_range":
            return invalid("input", error.message)
        case "embedder_missing":
            return GatewayError("model_not_found", f"{error.message} {error.next_step}", field="model")
        case _:
            return of_node(error)
