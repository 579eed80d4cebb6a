"""vivavoce validate"""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("validate")
@click.argument("folder", metavar="AGENT_DIR")
@click.option("--json", "as_json", is_flag=True, help="Print the faults as JSON.")
def command(folder: str, as_json: bool) -> int:
    """Check a folder: every fault with its file and line. Exit status 1 when any is an error."""
    from vivavoce.project.loader import load  # noqa: PLC0415  # not needed for --help
    from vivavoce.project.tree import left_out, read_tree  # noqa: PLC0415

    loaded = load(read_tree(Path(folder)), name=Path(folder).resolve().name)
    found = sorted({*loaded.faults, *left_out(Path(folder))})
    if as_json:
        faults = [
            {"path": f.path, "line": f.line, "severity": f.severity, "code": f.code, "message": f.message}
            for f in found
        ]
        click.echo(json.dumps({"agentId": loaded.agent.identity.agent_id, "tree": loaded.tree.hash, "faults": faults}))
        return 1 if loaded.errors else 0
    for fault in found:
        color = "red" if fault.severity == "error" else "yellow"
        click.echo(f"{fault.path}:{fault.line}: {click.style(fault.severity, fg=color)}: {fault.message}")
    agent = loaded.agent
    click.echo(
        f"{agent.identity.agent_id}: {len(agent.topics)} topics, {len(agent.flows)} flows, {len(agent.functions)} functions; "
        f"{len(loaded.errors)} errors, {len(found) - len(loaded.errors)} warnings."
    )
    return 1 if loaded.errors else 0
