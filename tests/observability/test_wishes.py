"""Whether anybody looks: by the standard variables or the config, and at no cost where nobody does."""

import builtins
import logging
import sys
import threading
from typing import Any

import anyio
import pytest
from opentelemetry.sdk.trace import TracerProvider

from agent_mcp.errors import ConfigError
from agent_mcp.observability import exporting
from agent_mcp.observability.exporting import providers_of
from agent_mcp.observability.telemetry import Telemetry
from agent_mcp.observability.wishes import open_telemetry
from agent_mcp.sessions.observing import Unobserved

pytestmark = pytest.mark.anyio

SOMEWHERE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
        {"OTEL_SDK_DISABLED": "True", **SOMEWHERE},
        {"OTEL_SERVICE_NAME": "mine"},
    ],
)
async def test_nobody_looks_unless_a_variable_says_where_to(environ: dict[str, str]) -> None:
    async with open_telemetry(environ, metrics=False) as telemetry:
        assert isinstance(telemetry.observer, Unobserved)
        assert (telemetry.page, telemetry.around_http) == (None, None)
        store: Any = object()
        assert telemetry.watched(store) is store
        with anyio.fail_after(1):
            await telemetry.count_queue(store)


async def test_a_page_alone_needs_no_variable() -> None:
    async with open_telemetry({"OTEL_SDK_DISABLED": "true", **SOMEWHERE}, metrics=True) as telemetry:
        assert telemetry.page is not None
        assert telemetry.page()[1].startswith("text/plain")


@pytest.fixture
def without_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is not installed."""
    whole = builtins.__import__

    def find(name: str, *arguments: Any) -> Any:
        if name.startswith(("opentelemetry.sdk", "prometheus_client")):
            raise ImportError(f"No module named {name!r}")
        return whole(name, *arguments)

    for name in [name for name in sys.modules if name.startswith("agent_mcp.observability.")]:
        if name.endswith((".assembly", ".exporting")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", find)


@pytest.mark.usefixtures("without_sdk")
async def test_without_the_extra_variables_are_a_warning_and_the_page_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, logger="agent_mcp"):
        async with open_telemetry(SOMEWHERE, metrics=False) as telemetry:
            assert telemetry == Telemetry(observer=telemetry.observer)
    assert "agent-mcp[otel]" in caplog.text
    with pytest.raises(ConfigError, match=r"server\.metrics.*agent-mcp\[otel\]"):
        async with open_telemetry({}, metrics=True):
            pass


@pytest.fixture
def set_up(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The providers that would hold for the whole process."""
    providers: list[object] = []
    monkeypatch.setattr(exporting.trace, "set_tracer_provider", providers.append)
    return providers


def test_our_name_is_used_unless_a_variable_gives_another(
    set_up: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    to_console = {"OTEL_TRACES_EXPORTER": "console"}
    providers_of(to_console, version="1", prometheus=False)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    providers_of({**to_console, "OTEL_SERVICE_NAME": "mine"}, version="1", prometheus=False)
    names = [
        provider.resource.attributes["service.name"]
        for provider in set_up
        if isinstance(provider, TracerProvider)
    ]
    assert names == ["agent-mcp", "mine"]


def test_an_exporter_that_is_not_there_is_left_out_with_a_warning(
    set_up: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    environ = {"OTEL_TRACES_EXPORTER": "zipkin, otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with caplog.at_level(logging.WARNING, logger="agent_mcp"):
        providers_of(environ, version="1", prometheus=False)
    assert set_up == []
    assert "no exporter zipkin of traces" in caplog.text and "otlp_proto_grpc" in caplog.text


async def test_a_collector_that_does_not_answer_holds_up_the_end_for_half_a_second_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    providers = providers_of({}, version="1", prometheus=False)
    held = threading.Event()

    def hang(timeout_ms: float) -> bool:
        return held.wait(10)

    monkeypatch.setattr(providers.meters, "force_flush", hang)
    with anyio.fail_after(3):
        await providers.aclose()
    held.set()
