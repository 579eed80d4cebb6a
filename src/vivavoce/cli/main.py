"""The `vivavoce` command: finds the subcommand, and says in one sentence what went wrong."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from typing import Any

import click

from vivavoce import __version__
from vivavoce.errors import VivavoceError

COMMANDS = {
    "serve": "Serve agent folders over HTTP, reloading them when they change.",
    "chat": "Talk to an agent in the terminal.",
    "call": "Hold a simulated call, in real time or as fast as it goes, and measure it.",
    "validate": "Check a folder: every fault with its file and line.",
    "new": "Make a small working agent to start from.",
    "conversations": "List, read, search, annotate, note and erase conversations.",
    "redaction": "An agent's own rules of what is personal, and their run over the record.",
    "publish": "The folder as it is becomes what sandbox serves.",
    "promote": "A version serves the next environment as well.",
    "rollback": "An environment is served again by an earlier version.",
    "deployments": "What serves each environment, and what did.",
    "diff": "What differs between two versions.",
    "ab-tests": "A share of new conversations begins on another version; the two are compared.",
    "checkout": "The folder of a version, or of the one that a conversation went by.",
    "keys": "Create, list and revoke API keys.",
    "migrate": "Bring a database to this version, or move a record from SQLite to PostgreSQL.",
    "audit": "Who saw personal data and who changed what; whether the log is whole.",
}


def own_name() -> str:
    """How to call this command from here: by its name where that works, else by its path."""
    if shutil.which("vivavoce") or not sys.argv[0].endswith("/vivavoce"):
        return "vivavoce"
    return os.path.relpath(sys.argv[0]) if sys.argv[0].startswith(os.getcwd()) else sys.argv[0]


class Commands(click.Group):
    """Knows every command by name and imports only the one that runs: `--help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = importlib.import_module(f"vivavoce.cli.{cmd_name.replace('-', '_')}").command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vivavoce")
def command() -> None:
    """Run conversational agents that are plain folders, and keep every conversation as a record."""


def main(arguments: list[str] | None = None) -> Any:
    try:
        status = command.main(args=arguments, prog_name="vivavoce", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except VivavoceError as error:
        click.echo(f"vivavoce: {error.message}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(0)
    sys.exit(status if isinstance(status, int) else 0)
