"""What hosts are told before the first call."""

from hypothesis import given
from hypothesis import strategies as st

from agent_mcp.server.instructions import RULES, instructions


def test_agents_are_named_with_what_they_are_for() -> None:
    text = instructions({"researcher": "Finds things\nin the docs", "clerk": ""})
    assert text.startswith(RULES)
    assert text.endswith(
        "Agents (the `agent` of start_session): researcher (Finds things in the docs), clerk."
    )
    assert instructions({}) == RULES


@given(st.dictionaries(st.text(min_size=1, max_size=80), st.text(max_size=300), max_size=60))
def test_they_stay_under_what_hosts_cut(agents: dict[str, str]) -> None:
    assert len(instructions(agents)) < 1_500
