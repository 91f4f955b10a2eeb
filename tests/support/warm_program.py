"""What a forked program needs, imported once for all of them: all that `serve` imports, the SDKs of the models too."""

import gc

import anthropic as anthropic
import openai as openai

from agent_mcp import bootstrap as bootstrap
from agent_mcp.cli import http as http
from agent_mcp.cli import serve as serve
from agent_mcp.cli import wire as wire
from agent_mcp.cli import worker as worker
from agent_mcp.models import openai_chat as openai_chat
from agent_mcp.models import openai_responses as openai_responses
from agent_mcp.server import app as app

# Garbage collection in a child would touch all of this, and so copy it.
gc.collect()
gc.freeze()
