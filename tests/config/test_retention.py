"""`retention` and `server.metrics` in the config."""

import json
from pathlib import Path

import pytest

from agent_mcp.config.load import load_config
from agent_mcp.config.schema import RetentionEntry
from agent_mcp.errors import ConfigError


def load(folder: Path, **config: object) -> RetentionEntry:
    """What a config says of it."""
    file = folder / "config.json"
    file.write_text(json.dumps(config))
    return load_config(str(file), {}).retention


def test_everything_is_kept_by_default(tmp_path: Path) -> None:
    assert load(tmp_path, store="sqlite:///x.db") == RetentionEntry(days=None, sessions=None)


def test_days_and_sessions_are_read_and_make_a_file_ours(tmp_path: Path) -> None:
    assert load(tmp_path, retention={"days": 0.5, "sessions": 7}) == RetentionEntry(days=0.5, sessions=7)
    with pytest.raises(ConfigError, match="nonsense"):
        load(tmp_path, retention={"days": 1}, nonsense=1)


@pytest.mark.parametrize(
    ("retention", "said"),
    [
        ({"day": 3}, r"retention\.day.*did you mean `days`"),
        ({"days": 0}, r"retention\.days"),
        ({"days": "90d"}, r"retention\.days.*must be a number"),
        ({"sessions": -1}, r"retention\.sessions"),
        (90, r"retention.*must be an object"),
    ],
)
def test_what_is_no_retention_is_refused_by_its_key(tmp_path: Path, retention: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(tmp_path, retention=retention)
