"""What the commands share: how their help is shown, and how wrong settings are reported."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import click

from seq2seq.errors import ConfigError

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")


@contextlib.contextmanager
def bad_usage() -> Iterator[None]:
    """Report a setting that is out of range, or does not fit the others, as bad usage."""
    try:
        yield
    except ConfigError as error:
        raise click.UsageError(str(error), click.get_current_context()) from error
