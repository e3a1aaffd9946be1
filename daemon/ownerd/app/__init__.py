"""The daemon's own package: loads asyncio without TLS, which no part of the daemon speaks, and saves what OpenSSL's would take.

It is the first import of the process; where asyncio is there already, there is nothing to save.
"""

import sys

if "asyncio" not in sys.modules:
    sys.modules["ssl"] = None  # type: ignore[assignment]  # an import of it fails, as on a Python without it
    import asyncio  # noqa: F401

    del sys.modules["ssl"]
