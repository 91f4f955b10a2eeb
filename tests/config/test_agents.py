"""Agents in Markdown files, as Claude Code's users have them."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agent_mcp.config.agents import read_agent_files
from agent_mcp.config.findings import Findings
from agent_mcp.config.references import Known
from agent_mcp.config.schema import AgentEntry, Problem

KNOWN = Known(servers=("docs", "time"), models=("fast",))
Read = Callable[..., tuple[dict[str, AgentEntry], list[Problem]]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Writes files by name and reads the directory."""

    def write_and_read(**files: str) -> tuple[dict[str, AgentEntry], list[Problem]]:
        for stem, text in files.items():
            (tmp_path / f"{stem}.md").write_text(text, encoding="utf-8")
        findings = Findings("config.json")
        return dict(read_agent_files([tmp_path], known=KNOWN, findings=findings)), findings.problems

    return write_and_read


def with_header(*lines: str) -> str:
    return "\n".join(["---", *lines, "---", "Do it."])


def test_a_whole_file_becomes_an_agent(read: Read) -> None:
    text = with_header(
        "name: reader",
        "description: Reads",
        "tools: docs__*, mcp__time__now",
        "model: fast",
        "mcpServers: [docs, time]",
        "maxTurns: 7",
    )
    agents, problems = read(reader=text + "\n\nSecond paragraph.\n")
    assert problems == []
    assert agents["reader"] == AgentEntry(
        description="Reads",
        instructions="Do it.\n\nSecond paragraph.",
        model="fast",
        servers=("docs", "time"),
        tools=("docs__*", "time__now"),
        max_steps=7,
    )


def test_a_file_that_says_nothing_but_its_instructions_may_use_everything(read: Read) -> None:
    agents, problems = read(plain=with_header())
    assert agents["plain"] == AgentEntry(instructions="Do it.")
    assert problems == []


def test_a_description_with_unquoted_colons_is_read_line_by_line(read: Read) -> None:
    text = with_header(
        "name: a",
        "description: Use this: when x. Examples: <example>user: hi</example>",
        "  and more: of it",
        "tools:",
        "  - docs__a",
        "  - docs__b",
        'model: "fast"',
    )
    agents, problems = read(a=text)
    assert agents["a"].description.endswith("user: hi</example> and more: of it")
    assert agents["a"].tools == ("docs__a", "docs__b")
    assert agents["a"].model == "fast"
    assert problems == []


def test_a_list_in_brackets_is_read_line_by_line_too(read: Read) -> None:
    agents, problems = read(a=with_header("description: Use this: now", 'tools: ["mcp__docs__a", time__*]'))
    assert (agents["a"].tools, problems) == (("docs__a", "time__*"), [])


def test_a_blank_name_is_none(read: Read) -> None:
    assert list(read(a=with_header("name: '  '"))[0]) == ["a"]


def test_the_config_may_give_the_hosts_model_names_a_meaning_of_its_own(tmp_path: Path, read: Read) -> None:
    (tmp_path / "a.md").write_text(with_header("model: sonnet"))
    known = Known(servers=(), models=("sonnet",))
    agents = read_agent_files([tmp_path], known=known, findings=Findings("config.json"))
    assert agents["a"].model == "sonnet"


def test_windows_line_ends_and_a_byte_order_mark_are_no_matter(tmp_path: Path, read: Read) -> None:
    (tmp_path / "w.md").write_bytes(b"\xef\xbb\xbf---\r\nname: w\r\n---\r\nDo it.\r\n")
    agents, _ = read()
    assert agents["w"].instructions == "Do it."


@pytest.mark.parametrize(
    ("tools", "patterns"),
    [
        ("docs__search", ("docs__search",)),
        ("mcp__docs__search, mcp__time", ("docs__search", "time__*")),
        ("mcp__docs__*", ("docs__*",)),
        ("'*'", ("*",)),
        ("['docs__a', 'docs__b']", ("docs__a", "docs__b")),
    ],
)
def test_tools_of_servers_become_patterns(read: Read, tools: str, patterns: tuple[str, ...]) -> None:
    agents, problems = read(a=with_header(f"tools: {tools}"))
    assert (agents["a"].tools, problems) == (patterns, [])


def test_tools_built_into_the_host_are_left_out_with_a_warning(read: Read, tmp_path: Path) -> None:
    agents, (problem,) = read(a=with_header("tools: Read, Bash(git add:*, git commit:*), mcp__docs__search"))
    assert agents["a"].tools == ("docs__search",)
    assert problem.place == f"{tmp_path / 'a.md'}: tools"
    assert "Read" in problem.message and "Bash(git add:*, git commit:*)" in problem.message


def test_an_agent_with_built_in_tools_alone_has_no_tools(read: Read) -> None:
    agents, problems = read(a=with_header("tools: Read, Grep"))
    assert agents["a"].tools == ()
    assert len(problems) == 1


@pytest.mark.parametrize(
    ("model", "meant"),
    [
        ("sonnet", "anthropic:claude-sonnet-5-5"),
        ("opus", "anthropic:claude-opus-5-5"),
        ("haiku", "anthropic:claude-haiku-5-5"),
        ("claude-opus-4-8", "anthropic:claude-opus-4-8"),
        ("inherit", None),
        ("openai:gpt-x", "openai:gpt-x"),
    ],
)
def test_the_hosts_model_names_are_translated(read: Read, model: str, meant: str | None) -> None:
    agents, problems = read(a=with_header(f"model: {model}"))
    assert (agents["a"].model, problems) == (meant, [])


def test_servers_that_are_not_in_the_config_are_warned_of_and_left_out(read: Read) -> None:
    text = with_header("mcpServers:", "  - dosc", "  - time", "  - extra:", "      command: x")
    agents, problems = read(a=text)
    assert agents["a"].servers == ("time",)
    assert ["`dosc`" in problems[0].message, "`docs`" in problems[0].hint] == [True, True]
    assert "`extra`" in problems[1].message


@pytest.mark.parametrize("turns", ["0", "many", "-1"])
def test_a_senseless_maxturns_is_warned_of_and_not_used(read: Read, turns: str) -> None:
    agents, (problem,) = read(a=with_header(f"maxTurns: {turns}"))
    assert agents["a"].max_steps is None
    assert problem.place.endswith("maxTurns")


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("model: nothing", "model"),
        ("tools: nowhere__x", "tools"),
        ("disallowedTools: Write", "disallowedTools"),
    ],
)
def test_what_cannot_be_meant_is_a_warning_of_that_file(read: Read, header: str, key: str) -> None:
    _, (problem,) = read(a=with_header(header))
    assert problem.place.endswith(f"a.md: {key}")


@pytest.mark.parametrize("text", ["", "# A readme", "---\nname: never closed\n", "\n---\nname: late\n---\n"])
def test_a_file_without_front_matter_is_named_and_the_rest_load(read: Read, text: str) -> None:
    agents, (problem,) = read(bad=text, good=with_header("name: good"))
    assert list(agents) == ["good"]
    assert problem.place.endswith("bad.md")
    assert "front matter" in problem.message


def test_files_that_are_no_text_or_no_files_cost_no_other(tmp_path: Path, read: Read) -> None:
    (tmp_path / "bin.md").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "dir.md").mkdir()
    (tmp_path / "note.txt").write_text("not an agent")
    agents, problems = read(good=with_header())
    assert list(agents) == ["good"]
    assert len(problems) == 2


def test_front_matter_that_is_no_mapping_leaves_the_files_own_name(read: Read) -> None:
    agents, _ = read(named=with_header("- a", "- b"))
    assert list(agents) == ["named"]


def test_of_two_files_with_one_name_the_first_counts(read: Read) -> None:
    agents, (problem,) = read(a="---\nname: same\n---\nfirst", b="---\nname: same\n---\nsecond")
    assert agents["same"].instructions == "first"
    assert problem.place.endswith("b.md: name")


def test_a_directory_that_is_missing_is_a_warning(tmp_path: Path) -> None:
    findings = Findings("config.json")
    assert read_agent_files([tmp_path / "none"], known=KNOWN, findings=findings) == {}
    assert "agents_dir" in findings.problems[0].place


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes are those of POSIX")
def test_a_link_to_another_kind_of_file_and_a_pipe_are_not_read(read: Read, tmp_path: Path) -> None:
    secret = tmp_path / "id_rsa"
    secret.write_text(with_header("name: thief"))
    (tmp_path / "a.md").symlink_to(secret)
    (tmp_path / "loop.md").symlink_to(tmp_path / "loop.md")
    os.mkfifo(tmp_path / "pipe.md")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "shared.md").write_text(with_header())
    (tmp_path / "linked.md").symlink_to(elsewhere / "shared.md")
    agents, problems = read()
    assert list(agents) == ["linked"]
    assert [problem.message for problem in problems] == ["is, or leads to, no plain Markdown file"] * 3


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "..", "/abs", "C:\\x"])
def test_an_agents_name_is_a_name_and_never_a_path(read: Read, name: str) -> None:
    agents, _ = read(file=with_header(f"name: '{name}'"))
    assert list(agents) == [name]


def test_front_matter_that_is_nested_without_end_costs_no_other_file(read: Read) -> None:
    agents, _ = read(deep=with_header("name: deep", f"description: {'[' * 5000}"), good=with_header())
    assert set(agents) == {"deep", "good"}
