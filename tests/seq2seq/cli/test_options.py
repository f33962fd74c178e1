"""What the commands share: a wrong setting is bad usage, -h is help, JSON and quiet are flags."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from seq2seq.cli.options import CONTEXT, bad_usage, json_option, quiet_option
from seq2seq.errors import ConfigError, RunError


@click.command(context_settings=CONTEXT)
@click.argument("what", default="nothing")
@json_option
@quiet_option
def command(what, as_json, quiet):
    with bad_usage():
        if what == "setting":
            raise ConfigError("units must be at least 1")
        if what == "run":
            raise RunError("x: not a run folder")
    click.echo(f"{as_json} {quiet}")


def test_a_wrong_setting_is_bad_usage_of_the_command():
    result = CliRunner().invoke(command, ["setting"])
    assert result.exit_code == 2
    assert "Usage: command" in result.output
    assert "units must be at least 1" in result.output


def test_other_errors_are_left_to_the_caller():
    with pytest.raises(RunError, match="not a run folder"):
        command.main(["run"], standalone_mode=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [([], "False False"), (["--json"], "True False"), (["-q"], "False True"), (["--quiet", "--json"], "True True")],
)
def test_flags(arguments, said):
    assert CliRunner().invoke(command, arguments).output == f"{said}\n"


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_is_short_and_long(option):
    result = CliRunner().invoke(command, [option])
    assert result.exit_code == 0
    assert "Print JSON instead of text." in result.output
