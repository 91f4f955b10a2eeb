"""Config files on disk."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent_mcp.config.load import load_config
from agent_mcp.config.schema import Config

Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Writes data (or raw text) as `config.json` and loads it, with a HOME of its own."""

    def write_and_load(data: Any, environ: Mapping[str, str] | None = None) -> Config:
        file = tmp_path / "config.json"
        file.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
        return load_config(str(file), {"HOME": str(tmp_path / "home"), **(environ or {})})

    return write_and_load
