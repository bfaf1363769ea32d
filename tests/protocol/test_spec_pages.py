"""The pages of the protocol name everything that the code knows, and their tables are the code's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dicast.protocol import errand, seat
from dicast.protocol.certificate import Fault
from dicast.protocol.messages import (
    BODIES,
    Admission,
    DeclineReason,
    Kind,
    Message,
    OfferedModel,
    Refusal,
    Role,
    Usage,
    WorkState,
)

SPEC = Path(__file__).resolve().parents[2] / "spec"


def page(name):
    return (SPEC / name).read_text()


def rows(text):
    """First cell of each row of the tables, if it is a word in backquotes."""
    return re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE)


def section(text, title):
    return text.partition(f"## {title}")[2].partition("\n## ")[0]


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name.lower())
def test_every_message_has_a_section_that_names_every_field(kind):
    text = page("10-messages.md")
    [title] = re.findall(rf"^## (10\.\d+ {kind.name.lower()} \({int(kind)}\))$", text, re.MULTILINE)
    named = set(re.findall(r"`([a-z_]+)`", section(text, title)))
    assert set(BODIES[kind].__struct_fields__) - named == set()


def test_every_field_inside_a_field_is_named():
    named = set(re.findall(r"`([a-z_]+)`", page("10-messages.md")))
    for record in (Message, OfferedModel, Usage):
        assert set(record.__struct_fields__) - named == set()
    for words in (Role, Admission):
        assert {word.value for word in words} - named == set()


def test_every_refusal_reason_and_state_has_a_row_and_no_other_has():
    text = page("10-messages.md")
    assert rows(section(text, "10.12")) == [refusal.value for refusal in Refusal]
    assert rows(section(text, "10.10")) == [
        word.value for words in (WorkState, DeclineReason) for word in words
    ]


def test_every_fault_of_a_certificate_has_a_row_and_no_other_has():
    assert rows(section(page("12-certificate.md"), "12.4")) == [fault.value for fault in Fault]


@pytest.mark.parametrize(("title", "steps"), [("11.2", errand.STEPS), ("11.3", seat.STEPS)])
def test_the_tables_of_steps_are_those_of_the_code(title, steps):
    found = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", section(page("11-rounds.md"), title), re.MULTILINE)
    written = {name: set(re.findall(r"`(\w+)`", after)) for name, after in found}
    assert written == {phase.value: {one.value for one in after} for phase, after in steps.items()}


def test_the_index_names_every_page():
    linked = set(re.findall(r"\]\((\d\d-[a-z-]+\.md)\)", page("00-index.md")))
    assert linked == {path.name for path in SPEC.glob("*.md")} - {"00-index.md"}
