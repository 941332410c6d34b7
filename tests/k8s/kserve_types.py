"""Compares manifests with the types of KServe's package and of Kubernetes' client; test_kserve.py runs it beside them.

Reads a list of [type, object] as JSON, prints what is no member of its type or has a value of another type.
"""

import json
import re
import sys
from collections.abc import Iterator

import kserve.models
import kubernetes.client

PLAIN = {"str": str, "bool": bool, "int": int, "float": (int, float), "object": object, "ResourceQuantity": (str, int)}


def differences(value: object, type: str, place: str) -> Iterator[str]:
    """What of `value` does not fit `type`, as these packages spell types."""
    if several := re.fullmatch(r"[Ll]ist\[(.+)\]", type):
        if not isinstance(value, list):
            yield f"{place}: not a list"
            return
        for number, item in enumerate(value):
            yield from differences(item, several[1], f"{place}[{number}]")
    elif mapping := re.fullmatch(r"[Dd]ict[\[(]str, (.+)[\])]", type):
        if not isinstance(value, dict):
            yield f"{place}: not an object"
            return
        for name, item in value.items():
            yield from differences(item, mapping[1], f"{place}.{name}")
    elif type in PLAIN:
        if not isinstance(value, PLAIN[type]) or (isinstance(value, bool) and type not in ("bool", "object")):
            yield f"{place}: {value!r} is no {type}"
    else:
        model = getattr(kserve.models, type, None) or getattr(kubernetes.client, type)
        members = {member: model.openapi_types[name] for name, member in model.attribute_map.items()}
        if not isinstance(value, dict):
            yield f"{place}: not an object"
            return
        for name, item in value.items():
            if name in members:
                yield from differences(item, members[name], f"{place}.{name}")
            else:
                yield f"{place}: {type} has no {name!r}"


print("\n".join(text for type, value in json.load(sys.stdin) for text in differences(value, type, type)))
