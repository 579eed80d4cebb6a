"""Imports between the folder's own modules, checked without running them."""

from __future__ import annotations

import ast
import warnings

from vivavoce.project import layout
from vivavoce.project.source import Faults


def check(files: dict[str, bytes], faults: Faults) -> None:
    """Warns where a module takes a name from a sibling that does not have it: its function will fail, the rest works."""
    modules = {
        layout.module_name(path): (path, tree)
        for path, content in files.items()
        if path.endswith(".py") and (tree := _parse(content))
    }
    names = {module: _top_level(tree) for module, (_, tree) in modules.items()}
    for module, (path, tree) in modules.items():
        for node in tree.body:
            if not isinstance(node, ast.ImportFrom):
                continue
            source = _absolute(module, node)
            if source not in names and source.split(".")[0] in ("functions", "flows"):
                if not any(known.startswith(source + ".") for known in names):
                    faults.warn(
                        path,
                        node.lineno,
                        "import",
                        f"There is no module {source}; {module} cannot be imported, and calls of its function fail.",
                    )
                continue
            have = names.get(source)
            if have is None or "*" in have:
                continue
            for alias in node.names:
                if alias.name != "*" and alias.name not in have:
                    faults.warn(
                        path,
                        node.lineno,
                        "import",
                        f"{source} has no {alias.name}; {module} cannot be imported, and calls of its function fail.",
                    )


def _parse(content: bytes) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # reported where functions are parsed


def _absolute(module: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    base = module.split(".")[: -node.level]
    return ".".join([*base, node.module] if node.module else base)


def _top_level(tree: ast.Module) -> set[str]:
    """Names bound at the top of a module; "*" when it imports everything from a module of ours that is not `_gen`."""
    found: set[str] = set()
    stack: list[ast.stmt] = list(tree.body)
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                if alias.name != "*":
                    found.add(alias.asname or alias.name.split(".")[0])
                elif isinstance(node, ast.ImportFrom) and node.module not in ("_gen", "imports"):
                    found.add("*")
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found.update(n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name))
        elif isinstance(node, (ast.If, ast.Try, ast.With, ast.For, ast.While)):
            for field in ("body", "orelse", "finalbody"):
                stack.extend(getattr(node, field, []))
            for handler in getattr(node, "handlers", []):
                stack.extend(handler.body)
    return found
