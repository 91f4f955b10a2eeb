"""The shape of the code: layers, sizes, what start-up may import. A rule that is broken fails the build."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "agent_mcp").rglob("*.py"))


def test_the_import_contracts_hold() -> None:
    # In a process of its own, since it switches off all loggers that there are.
    _run("import sys\nfrom importlinter.cli import lint_imports\nsys.exit(lint_imports(no_cache=True))")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= (150 if path.name == "loop.py" else 400)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 60, f"{node.name} is too long"


def test_help_and_version_import_nothing_heavy() -> None:
    heavy = "('mcp', 'anyio', 'pydantic', 'anthropic', 'openai', 'httpx2', 'sqlite3', 'asyncio')"
    code = (
        "import sys\nfrom agent_mcp.__main__ import main\n"
        "try:\n main(['--version'])\nexcept SystemExit: pass\n"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    assert _run(code).splitlines()[-1] == "[]"


def test_serving_imports_no_provider_sdk() -> None:
    code = (
        "import agent_mcp.bootstrap, agent_mcp.server.app, sys\n"
        "print([m for m in ('anthropic', 'openai', 'genai_prices') if m in sys.modules])"
    )
    assert _run(code).strip() == "[]"


@pytest.mark.parametrize("command", ["approvals", "sessions", "install", "db"])
def test_commands_that_start_no_server_import_no_mcp(command: str) -> None:
    code = (
        f"import agent_mcp.cli.{command}, sys\nprint([m for m in ('mcp', 'mcp_types') if m in sys.modules])"
    )
    assert _run(code).strip() == "[]"


def _run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=True
    )
    return done.stdout
