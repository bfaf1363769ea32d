"""The OpenAPI document, and what schemathesis finds when it tries what that allows and forbids."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx

from dicast.gateway.keys import Scope
from dicast.gateway.native.table import SPECS

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


def test_the_document_names_every_route_and_every_reference_leads_somewhere(loopback) -> None:
    answer = httpx.get(f"{loopback.url}/api/openapi.json")
    document = answer.json()
    told = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert told == {spec.rule for spec in SPECS if not spec.rule.startswith("WS ")}
    references = set(re.findall(r'"#/components/schemas/(\w+)"', answer.text))
    assert references - set(document["components"]["schemas"]) == set()
    operations = [one for methods in document["paths"].values() for one in methods.values()]
    assert len({one["operationId"] for one in operations}) == len(operations)


def test_schemathesis_finds_nothing(loopback) -> None:
    """Right and wrong requests of every kind; the stream of events, which never ends, is tried elsewhere."""
    key = loopback.key(Scope.ADMIN, Scope.READ, Scope.INFER, rate=1_000_000)
    command = [sys.executable, "-m", "schemathesis.cli", f"--config-file={CONFIGURATION}", "run"]
    command += [f"{loopback.url}/api/openapi.json", "--header", f"Authorization: Bearer {key}"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stdout[-8_000:]
