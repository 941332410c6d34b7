"""Finds what a new OpenAPI document breaks for clients that were written for an old one."""

from collections.abc import Iterator, Mapping
from typing import Any

Node = Mapping[str, Any]


def breaking_changes(old: Node, new: Node) -> list[str]:
    """Returns one line for each change that breaks clients of `old`; none when all of them go on to work.

    Requests may be allowed more, and responses may hold more: neither breaks a client.
    """
    return list(_Comparison(old, new).paths())


class _Comparison:
    def __init__(self, old: Node, new: Node) -> None:
        self._old, self._new = old, new

    def paths(self) -> Iterator[str]:
        for path, methods in self._old["paths"].items():
            if path not in self._new["paths"]:
                yield f"{path}: removed"
                continue
            for method, operation in methods.items():
                place, others = f"{method.upper()} {path}", self._new["paths"][path]
                if method in others:
                    yield from self._operation(place, operation, others[method])
                else:
                    yield f"{place}: removed"

    def _operation(self, place: str, old: Node, new: Node) -> Iterator[str]:
        if old.get("operationId") != new.get("operationId"):
            yield f"{place}: operationId was {old.get('operationId')}, is {new.get('operationId')}"
        yield from self._parameters(place, old, new)
        if "requestBody" in new and "requestBody" not in old and new["requestBody"].get("required"):
            yield f"{place}: requires a body now"
        if "requestBody" in old:
            contents = old["requestBody"]["content"], new.get("requestBody", {}).get("content", {})
            yield from self._contents(f"{place} body", *contents, request=True)
        for status, response in old["responses"].items():
            where, found = f"{place} {status}", new["responses"].get(status)
            if found is None:
                yield f"{where}: removed"
                continue
            yield from (f"{where}: header {name} removed" for name in _missing(response, found, "headers"))
            yield from self._contents(where, response.get("content", {}), found.get("content", {}), request=False)

    def _parameters(self, place: str, old: Node, new: Node) -> Iterator[str]:
        before, after = ({(p["in"], p["name"]): p for p in o.get("parameters", [])} for o in (old, new))
        for key, parameter in before.items():
            where = f"{place} parameter {key[1]}"
            if key not in after:
                yield f"{where}: removed"
                continue
            if after[key].get("required") and not parameter.get("required"):
                yield f"{where}: required now"
            yield from self._schema(where, parameter["schema"], after[key]["schema"], request=True)
        for key in after.keys() - before.keys():
            if after[key].get("required"):
                yield f"{place} parameter {key[1]}: new and required"

    def _contents(self, place: str, old: Node, new: Node, request: bool) -> Iterator[str]:
        for media_type, content in old.items():
            where = f"{place} {media_type}"
            if media_type not in new:
                yield f"{where}: removed"
            else:
                yield from self._schema(where, content.get("schema", {}), new[media_type].get("schema", {}), request)

    def _schema(self, place: str, old: Node, new: Node, request: bool) -> Iterator[str]:
        old, new = _resolved(self._old, old), _resolved(self._new, new)
        for key in ("type", "format", "contentEncoding", "contentMediaType"):
            if old.get(key) != new.get(key) and (key in new or not request):
                yield f"{place}: {key} was {old.get(key)}, is {new.get(key)}"
        yield from self._values(place, old, new, request)
        if len(old.get("anyOf", [])) != len(new.get("anyOf", [])):
            yield f"{place}: has {len(new.get('anyOf', []))} alternatives, had {len(old.get('anyOf', []))}"
        for one, other in zip(old.get("anyOf", []), new.get("anyOf", []), strict=False):
            yield from self._schema(place, one, other, request)
        if "items" in old:
            yield from self._schema(f"{place}[]", old["items"], new.get("items", {}), request)
        before, after = set(old.get("required", [])), set(new.get("required", []))
        for name in sorted(after - before if request else before - after):
            yield f"{place}.{name}: {'required now' if request else 'may be absent now'}"
        for name, schema in old.get("properties", {}).items():
            if name not in new.get("properties", {}):
                yield f"{place}.{name}: removed"
            else:
                yield from self._schema(f"{place}.{name}", schema, new["properties"][name], request)

    def _values(self, place: str, old: Node, new: Node, request: bool) -> Iterator[str]:
        """Limits of a value: requests may be limited less, responses more."""
        wide, narrow = (new, old) if request else (old, new)
        if "enum" in wide and not set(narrow.get("enum", [...])) <= set(wide["enum"]):
            yield f"{place}: enum was {old.get('enum')}, is {new.get('enum')}"
        if "pattern" in wide and wide["pattern"] != narrow.get("pattern"):
            yield f"{place}: pattern was {old.get('pattern')}, is {new.get('pattern')}"
        for key, sign in (("minimum", 1), ("exclusiveMinimum", 1), ("maximum", -1), ("maxLength", -1)):
            if key in wide and (key not in narrow or sign * wide[key] > sign * narrow[key]):
                yield f"{place}: {key} was {old.get(key)}, is {new.get(key)}"


def _missing(old: Node, new: Node, key: str) -> list[str]:
    return [name for name in old.get(key, {}) if name not in new.get(key, {})]


def _resolved(document: Node, schema: Node) -> Node:
    while "$ref" in schema:
        found: Any = document
        for name in schema["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        schema = found
    return schema
