"""What an error says."""

from __future__ import annotations

from dicast.base.errors import ConfigurationError, DicastError


def test_an_error_says_what_happened_what_to_do_and_its_code() -> None:
    error = ConfigurationError("bad_port", "The port 99999 is too large.", "Use one up to 65535.")
    assert str(error) == "The port 99999 is too large. Use one up to 65535. [bad_port]"
    assert str(DicastError("broken", "It broke.")) == "It broke. [broken]"
    assert (error.code, error.message, error.next_step) == error.args
