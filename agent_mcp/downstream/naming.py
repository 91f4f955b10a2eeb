"""From a server's name and a tool's own name to the one name the model sees. Pure, and knows no other tool.

A name is `server__tool` as it is wherever that is possible. Otherwise it is cleaned, cut and ends in `_` and ten hex
digits of a hash over both parts. Whether a tool is renamed follows from its own two names alone, so it is called the
same whichever other servers are present and in whatever order.
"""

import hashlib
import re

MAX_LENGTH = 64
"""What the providers' APIs and most hosts allow."""
_HASH_DIGITS = 10
_SEPARATOR = "__"
_FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]")
_ENDS_LIKE_OURS = re.compile(rf"_[0-9a-f]{{{_HASH_DIGITS}}}\Z")


def full_name(server: str, tool: str) -> str:
    """`server__tool` uncut, which patterns in the config match."""
    return f"{server}{_SEPARATOR}{tool}"


def model_name(server: str, tool: str) -> str:
    """The name the model sees: `[A-Za-z0-9_-]`, at most 64 characters, different for different tools."""
    full = full_name(server, tool)
    if _is_plain(full, server):
        return full
    digest = hashlib.sha256(f"{server}\0{tool}".encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    kept = _FORBIDDEN.sub("_", full)[: MAX_LENGTH - _HASH_DIGITS - 1]
    return f"{kept}_{digest}"


def name_prefix(server: str) -> str:
    """What the names of all tools of a server begin with, unless it is too long for them."""
    return _FORBIDDEN.sub("_", full_name(server, ""))


def _is_plain(full: str, server: str) -> bool:
    """Whether the full name can stand as it is and can mean no other pair of server and tool.

    `a` + `b__c` and `a__b` + `c` join to the same text: only the pair that a split at the first separator gives back
    keeps it. A name that ends like one of our hashes is hashed too, so that no server can take another tool's name.
    """
    return (
        len(full) <= MAX_LENGTH
        and _FORBIDDEN.search(full) is None
        and full.partition(_SEPARATOR)[0] == server
        and _ENDS_LIKE_OURS.search(full) is None
    )
