"""CTAP command parameters: strict CBOR in, typed values out.

CTAP 2.1 section 8: messages are in the CTAP2 canonical CBOR form. Whatever does not encode back to the same
bytes is refused, which catches short strings, duplicate keys, long integers and trailing data alike.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, TypeVar

from fido2 import cbor
from fido2.ctap import CtapError

ERR = CtapError.ERR

T = TypeVar("T")


def parse_parameters(data: bytes) -> dict[int, Any]:
    """Return the parameter map of a command; empty for no bytes.

    Raises `CtapError` INVALID_CBOR, or CBOR_UNEXPECTED_TYPE when it is no map from integers.
    """
    if not data:
        return {}
    try:
        value = cbor.decode(data)
        canonical = cbor.encode(value) == data
    except (ValueError, IndexError, KeyError, TypeError, struct.error, RecursionError) as error:
        raise CtapError(ERR.INVALID_CBOR) from error
    if not canonical:
        raise CtapError(ERR.INVALID_CBOR)
    # bool is an int in Python: {true: …} must not pass for {1: …}.
    if not isinstance(value, Mapping) or any(type(key) is not int for key in value):
        raise CtapError(ERR.CBOR_UNEXPECTED_TYPE)
    return dict(value)


def optional(params: Mapping[Any, Any], key: int | str, kind: type[T]) -> T | None:
    """Return ``params[key]`` or None. Raises `CtapError` CBOR_UNEXPECTED_TYPE for another type."""
    value = params.get(key)
    if value is None:
        return None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise CtapError(ERR.CBOR_UNEXPECTED_TYPE)
    return value


def required(params: Mapping[Any, Any], key: int | str, kind: type[T]) -> T:
    """Return ``params[key]``. Raises `CtapError` MISSING_PARAMETER or CBOR_UNEXPECTED_TYPE."""
    value = optional(params, key, kind)
    if value is None:
        raise CtapError(ERR.MISSING_PARAMETER)
    return value


def descriptors(params: Mapping[Any, Any], key: int) -> list[bytes] | None:
    """Credential ids of a list of PublicKeyCredentialDescriptors, or None when there is no list.

    Raises `CtapError` as `required` does, and LIMIT_EXCEEDED for more than `MAX_LIST`.
    """
    given = optional(params, key, list)
    if given is None:
        return None
    if len(given) > MAX_LIST:
        raise CtapError(ERR.LIMIT_EXCEEDED)
    found = []
    for descriptor in given:
        if not isinstance(descriptor, Mapping):
            raise CtapError(ERR.CBOR_UNEXPECTED_TYPE)
        if required(descriptor, "type", str) == "public-key":
            found.append(required(descriptor, "id", bytes))
    return found


MAX_LIST = 32
