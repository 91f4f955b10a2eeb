"""Our icon, as a data URI: small, because from 2026-07-28 on every result carries the server's identity."""

import base64

from mcp_types import Icon

_SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8">'
    b'<path fill="#57f" d="M1 1h6v4H4L2 7V5H1z"/></svg>'
)

ICON = Icon(
    src=f"data:image/svg+xml;base64,{base64.b64encode(_SVG).decode()}",
    mime_type="image/svg+xml",
    sizes=["any"],
)
