"""What the suite starts as its client: hands its order to the test, which runs it, and ends as that ended.

A process of our own for each scenario would spend most of its time on imports, of which this has next to none.
"""

import json
import os
import socket
import sys

DRIVER_PORT = "AGENT_MCP_CONFORMANCE_PORT"


def main() -> int:
    """Send the address and the scenario, print what is said, and exit with the status that comes back."""
    order = {"url": sys.argv[1], "scenario": os.environ["MCP_CONFORMANCE_SCENARIO"]}
    order["context"] = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    with socket.create_connection(("127.0.0.1", int(os.environ[DRIVER_PORT]))) as connection:
        connection.sendall(json.dumps(order).encode() + b"\n")
        answer = json.loads(connection.makefile("rb").read())
    sys.stderr.write(answer["said"])
    return int(answer["status"])


if __name__ == "__main__":
    sys.exit(main())
