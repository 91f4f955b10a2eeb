"""What the README says can be copied: its files load, its links lead somewhere."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from agent_mcp.config.load import load_config

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The README's blocks of code in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


CONFIGS: list[dict[str, Any]] = [json.loads(block) for block in blocks("json")]
OURS = [config for config in CONFIGS if "servers" not in config]


@pytest.mark.parametrize("number", range(len(OURS)))
def test_every_config_loads(tmp_path: Path, number: int) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(OURS[number]), encoding="utf-8")
    config = load_config(str(file), {"ADA_TOKEN": "a-token-of-32-characters-or-more"})
    assert [problem for problem in config.problems if "left out" not in problem.message] == []


def test_the_whole_config_has_servers_agents_and_models() -> None:
    (whole,) = [config for config in OURS if {"agents", "mcpServers"} <= set(config)]
    assert {"mcpServers", "models", "agents", "defaults"} == set(whole)


def test_every_host_s_entry_says_the_same() -> None:
    example = json.loads((ROOT / "claude_desktop_config.example.json").read_text(encoding="utf-8"))
    entry = example["mcpServers"]["agent"]
    (toml,) = blocks("toml")
    assert tomllib.loads(toml)["mcp_servers"]["agent"] == entry
    (vscode,) = [config["servers"]["agent"] for config in CONFIGS if "servers" in config]
    assert vscode == {"type": "stdio", **entry}
    assert example in CONFIGS


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_a_link_to_a_file_leads_to_one(target: str) -> None:
    assert (ROOT / target).exists()


@pytest.mark.parametrize("anchor", sorted(set(re.findall(r"\]\(#([^)]+)\)", README))))
def test_a_link_to_a_section_leads_to_one(anchor: str) -> None:
    headings = re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}
