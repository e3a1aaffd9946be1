"""Large blobs of a FIDO2 token (CTAP 2.1, section 6.10) with bounds: what a token sends is untrusted."""

from __future__ import annotations

from typing import Any, Final, cast

from fido2.ctap2.base import Ctap2

LARGE_BLOB_KEY: Final = "largeBlobKey"
LARGE_BLOB_KEY_BYTES: Final = 32
MAX_ARRAY_BYTES: Final = 64 * 1024


class _Bounded:
    """A `Ctap2` of which `LargeBlobs` sees two members; a token whose array does not end is broken."""

    def __init__(self, ctap: Ctap2) -> None:
        self._ctap = ctap
        self.info = ctap.info

    def large_blobs(self, offset: int, **parameters: Any) -> dict[int, Any]:
        """AuthenticatorLargeBlobs. Raises `ValueError` beyond `MAX_ARRAY_BYTES`."""
        if offset > MAX_ARRAY_BYTES:
            raise ValueError("the large-blob array does not end")
        answer = dict(self._ctap.large_blobs(offset, **parameters))
        fragment = answer.get(1)
        if "get" in parameters and (not isinstance(fragment, bytes) or len(fragment) > parameters["get"]):
            raise TypeError("a fragment of large blobs is none")
        return answer


def bounded(ctap: Ctap2) -> Ctap2:
    """Wrap ``ctap`` for `fido2.ctap2.blob.LargeBlobs`."""
    return cast(Ctap2, _Bounded(ctap))
