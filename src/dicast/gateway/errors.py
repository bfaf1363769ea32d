"""What the gateway says no with: one stable code each, and the shape that every dialect expects."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from dicast.base.errors import AdapterError, DicastError


class Dialect(StrEnum):
    """Whose shapes a route speaks."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    NATIVE = "native"


class Code(NamedTuple):
    """What a code means to HTTP and to both dialects; `retry` is whether asking again may help by itself."""

    status: int
    openai: str
    anthropic: str
    retry: bool = False


_INVALID = ("invalid_request_error", "invalid_request_error")
_DENIED = ("invalid_request_error", "permission_error")
_SERVER = ("server_error", "api_error")
CODES: dict[str, Code] = {
    "invalid_json": Code(400, *_INVALID),
    "invalid_request": Code(400, *_INVALID),
    "unsupported": Code(400, *_INVALID),
    "context_length_exceeded": Code(400, *_INVALID),
    "impossible_frame": Code(400, *_INVALID),
    "key_invalid": Code(401, "authentication_error", "authentication_error"),
    "scope_missing": Code(403, *_DENIED),
    "storage_full": Code(403, *_DENIED),
    "origin_refused": Code(403, *_DENIED),
    "route_closed": Code(403, *_DENIED),
    "not_found": Code(404, "invalid_request_error", "not_found_error"),
    "model_not_found": Code(404, "invalid_request_error", "not_found_error"),
    "certificate_missing": Code(404, "invalid_request_error", "not_found_error"),
    "round_missing": Code(404, "invalid_request_error", "not_found_error"),
    "node_missing": Code(404, "invalid_request_error", "not_found_error"),
    "file_missing": Code(404, "invalid_request_error", "not_found_error"),
    "batch_missing": Code(404, "invalid_request_error", "not_found_error"),
    "key_missing": Code(404, "invalid_request_error", "not_found_error"),
    "method_not_allowed": Code(405, *_INVALID),
    "body_too_slow": Code(408, *_INVALID),
    "body_too_large": Code(413, "invalid_request_error", "request_too_large"),
    "not_json": Code(415, *_INVALID),
    "host_refused": Code(421, *_DENIED),
    "undetermined": Code(422, "undetermined", "invalid_request_error"),
    "answer_malformed": Code(422, "undetermined", "invalid_request_error"),
    "rate_limited": Code(429, "rate_limit_error", "rate_limit_error", retry=True),
    "spend_limit": Code(429, "insufficient_quota", "rate_limit_error"),
    "internal_error": Code(500, *_SERVER),
    "round_failed": Code(502, *_SERVER),
    "nobody_to_ask": Code(503, *_SERVER),
    "node_not_running": Code(503, *_SERVER),
    "overloaded": Code(503, "server_error", "overloaded_error", retry=True),
    "draining": Code(503, "server_error", "overloaded_error", retry=True),
}
"""Every code. 422 rather than 409 for `undetermined`: both official clients repeat a 409 by themselves, and
asking until the answer pleases proves nothing."""

_OF_THE_NODE = {
    "prompt_too_large": "context_length_exceeded",
    "no_model": "model_not_found",
    "too_few_nodes": "impossible_frame",
    "preset_unknown": "impossible_frame",
    "attempts_range": "impossible_frame",
    "no_peers": "nobody_to_ask",
    "relay_down": "nobody_to_ask",
    "node_not_running": "node_not_running",
    "node_stopped": "node_not_running",
    "too_many_asks": "overloaded",
    "too_many_rounds": "overloaded",
    "certificate_missing": "certificate_missing",
    "round_missing": "round_missing",
    "key_missing": "key_missing",
    "key_name": "invalid_request",
    "key_rate": "invalid_request",
    "key_limit": "overloaded",
    "keys_unreadable": "internal_error",
    "keys_unwritable": "internal_error",
}


class GatewayError(Exception):
    """A request that is not answered: `code` is one of `CODES`, `field` what it is about."""

    def __init__(
        self, code: str, message: str, *, field: str | None = None, told: dict[str, Any] | None = None
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.field = field
        self.told = told
        """What goes into the `dicast` field."""
        self.retry_after_s: int | None = None
        """When asking again makes sense, where that is known."""
        self.allow: str = ""
        """The methods of an address that takes others."""

    @property
    def kind(self) -> Code:
        """What the code means."""
        return CODES[self.code]

    @property
    def headers(self) -> dict[str, str]:
        """Whether clients should try again by themselves."""
        allow = {"allow": self.allow} if self.allow else {}
        if self.kind.retry:
            return {"x-should-retry": "true", "retry-after": str(self.retry_after_s or 1)}
        if self.retry_after_s is not None:
            return {"x-should-retry": "false", "retry-after": str(self.retry_after_s)}
        return {"x-should-retry": "false", **allow}

    def body(self, dialect: Dialect) -> dict[str, Any]:
        """The error as this dialect writes it."""
        extra: dict[str, Any] = {} if self.told is None else {"dicast": self.told}
        match dialect:
            case Dialect.ANTHROPIC:
                error = {"type": self.kind.anthropic, "message": self.message, "code": self.code, **extra}
                return {"type": "error", "error": error}
            case Dialect.OPENAI | Dialect.NATIVE:
                fields = {"type": self.kind.openai, "param": self.field, "code": self.code}
                return {"error": {"message": self.message, **fields, **extra}}


def unsupported(field: str, why: str = "") -> GatewayError:
    """For what the network cannot do: refused, because leaving it out in silence would be another answer."""
    reason = why or "The network cannot do this, and does not pretend to."
    return GatewayError("unsupported", f"{field} is not supported. {reason}", field=field)


def invalid(field: str, why: str) -> GatewayError:
    """For a value that makes no sense."""
    return GatewayError("invalid_request", f"{field}: {why}", field=field)


def of_node(error: DicastError) -> GatewayError:
    """The node's refusal in the gateway's words; the node's own code stays in `dicast.code`."""
    fallback = "round_failed" if isinstance(error, AdapterError) else "impossible_frame"
    code = _OF_THE_NODE.get(error.code, fallback)
    if error.code.startswith(("prompt_", "schema_", "question_")) and code == fallback:
        code = "invalid_request"
    next_step = "" if error.next_step.startswith("For example: dicast ") else error.next_step
    message = f"{error.message} {next_step}".strip().replace("--seats", "seats").replace("--quorum", "quorum")
    return GatewayError(
        code, message, field="model" if code == "model_not_found" else None, told={"code": error.code}
    )
