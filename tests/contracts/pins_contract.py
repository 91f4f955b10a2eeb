"""What every `ToolPins` must do. A test file subclasses `PinsContract` and has the fixtures of `StoreContract`."""

from agent_mcp.sessions.pins import Pin
from agent_mcp.sessions.ports import SessionStore
from tests.contracts.store_contract import OpenStore


class PinsContract:
    """What is remembered of tools' definitions."""

    async def test_the_tools_of_an_entrys_first_use_are_accepted(self, store: SessionStore) -> None:
        assert await store.pins("c#docs") == []
        assert await store.pin("c#docs", {"get": "1", "find": "2"}) == [Pin("find", "2"), Pin("get", "1")]
        assert await store.pins("c#docs") == [Pin("find", "2"), Pin("get", "1")]

    async def test_what_differs_from_the_first_use_is_kept_beside_it(self, store: SessionStore) -> None:
        await store.pin("c#docs", {"get": "1", "find": "2"})
        after = await store.pin("c#docs", {"get": "other", "put": "3"})
        assert after == [Pin("find", "2"), Pin("get", "1", "other"), Pin("put", "", "3")]
        assert [pin.tool for pin in after if pin.differs] == ["get", "put"]

    async def test_what_is_as_it_was_again_no_longer_differs_and_what_is_gone_stays_known(
        self, store: SessionStore
    ) -> None:
        await store.pin("c#docs", {"get": "1", "find": "2"})
        await store.pin("c#docs", {"get": "other"})
        assert await store.pin("c#docs", {"get": "1"}) == [Pin("find", "2"), Pin("get", "1")]

    async def test_a_tool_that_was_never_accepted_differs_until_it_is(self, store: SessionStore) -> None:
        await store.pin("c#docs", {"get": "1"})
        for _ in range(2):
            assert (await store.pin("c#docs", {"get": "1", "put": "3"}))[1] == Pin("put", "", "3")
        assert await store.accept_pins("c#docs") == ["put"]
        assert await store.pins("c#docs") == [Pin("get", "1"), Pin("put", "3")]
        assert await store.accept_pins("c#docs") == []

    async def test_entries_do_not_touch_each_other(self, store: SessionStore) -> None:
        await store.pin("c#docs", {"get": "1"})
        await store.pin("d#docs", {"get": "2"})
        await store.pin("c#docs", {"get": "3"})
        assert await store.accept_pins("d#docs") == []
        assert await store.pins("d#docs") == [Pin("get", "2")]
        assert await store.pinned_entries() == ["c#docs", "d#docs"]

    async def test_another_process_sees_the_pins(self, store: SessionStore, open_store: OpenStore) -> None:
        await store.pin("c#docs", {"get\ud800": "1"})
        async with open_store() as other:
            assert await other.pins("c#docs") == [Pin("get\ufffd", "1")]
            await other.pin("c#docs", {"get\ufffd": "2"})
            await other.accept_pins("c#docs")
        assert await store.pins("c#docs") == [Pin("get\ufffd", "2")]
