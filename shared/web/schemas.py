"""OpenAPI for the bodies that a route reads by itself, because it bounds them while they stream."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


def request_schema(model: type[BaseModel]) -> dict[str, Any]:
    """`openapi_extra` of a route that takes `model` as JSON."""
    schema = model.model_json_schema()
    parts = schema.pop("$defs", {})
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _inlined(schema, parts)}},
        }
    }


def _inlined(value: Any, parts: dict[str, Any]) -> Any:
    """Without references: `$defs` would be looked for at the root of the OpenAPI document."""
    if isinstance(value, list):
        return [_inlined(item, parts) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _inlined(parts[value["$ref"].rpartition("/")[2]], parts)
    return {name: _inlined(item, parts) for name, item in value.items()}
