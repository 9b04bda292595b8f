"""The description of the server for programs (OpenAPI 3.1), from the settings' own table."""

from __future__ import annotations

from typing import Any

from cnnart.builtin_styles import builtin_styles
from cnnart.commands.fast_stylize import trained_styles
from cnnart.errors import as_flags
from cnnart.files import FORMATS
from cnnart.settings import CLASS_MASK, NAMED_MASKS, settings_of
from cnnart.studio.clips import LONGEST_CLIP
from cnnart.studio.inspections import INSPECTIONS
from cnnart.studio.request import CONFIGS, MOST_STYLES, TAKES
from cnnart.version import __version__

ID = {"type": "string", "description": "The id of a picture"}
MASK = {
    "type": "string",
    "description": "The id of a picture, or what is found in the photo: "
    f"{', '.join(NAMED_MASKS)} or {CLASS_MASK}NAME, perhaps after `inverse:`",
}
JSON = "application/json"


def describe(address: str) -> dict[str, Any]:
    """The description of a server at ``address``."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cnnart",
            "version": __version__,
            "description": "cnnart's commands over HTTP. Every request needs the token that the "
            "server printed: `Authorization: Bearer TOKEN`.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": address.rstrip("/")}],
        "security": [{"token": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Picture": _object(
                    id=ID,
                    name={"type": "string"},
                    width={"type": "integer"},
                    height={"type": "integer"},
                    seconds={"type": "number", "description": "Of a clip; 0: unknown"},
                ),
                "Job": _object(
                    id={"type": "string"},
                    state={
                        "enum": ["queued", "running", "done", "stopped", "failed", "dropped"],
                    },
                    command={"type": "string"},
                    label={"type": "string"},
                    command_line={"type": "string"},
                    asked={"type": "object"},
                    result={"oneOf": [_ref("Picture"), {"type": "null"}]},
                    latest={"type": "object", "description": "Its last event of each kind"},
                ),
                "Error": _object(error={"type": "string"}),
                "Style": _style(),
                "Inspection": _object(
                    what={"enum": list(INSPECTIONS)},
                    photo=ID,
                    named={"type": ["string", "null"], "description": "A class"},
                    folder={"type": "string", "description": "The id of a folder, for neighbors"},
                ),
                "Folder": _object(
                    id={"type": "string"}, name={"type": "string"}, pictures={"type": "integer"}
                ),
                **{f"Settings of {name}": _settings(config) for name, config in CONFIGS.items()},
                "Request": {"oneOf": [_request(name) for name in CONFIGS]},
            },
        },
    }


def _paths() -> dict[str, Any]:
    id = _parameter("id", "path", {"type": "string"})
    side = _parameter("size", "query", {"type": "integer", "minimum": 16, "maximum": 2048})
    picture = {"image/*": {"schema": {"type": "string", "format": "binary"}}}
    photo = {"required": True, "content": picture}
    asked = {"required": True, "content": {JSON: {"schema": _ref("Request")}}}
    events = {"text/event-stream": {"schema": {"type": "string"}}}
    name = _parameter("name", "query", {"type": "string"}, "What to call the picture")
    job = {JSON: {"schema": _ref("Job")}}
    return {
        "/api/folders": {
            "post": _operation(
                "A folder to look for neighbors in, empty",
                {JSON: {"schema": _ref("Folder")}},
                [
                    name,
                    _parameter(
                        "recursive", "query", {"enum": ["0", "1"]}, "1: it has folders in it"
                    ),
                ],
                status="201",
            )
        },
        "/api/folders/{id}/pictures": {
            "post": _operation(
                "Bring a picture of the folder in: its bytes as the body",
                {JSON: {"schema": _ref("Folder")}},
                [id, name],
                body=photo,
                status="201",
            )
        },
        "/api/fast-stylize": {
            "post": _operation(
                "Paint a photo in a trained style, at once: the photo's bytes in, the picture out",
                picture,
                [
                    name,
                    _parameter("style", "query", _names(trained_styles()), "NAME or NAME:WEIGHT"),
                    _parameter("format", "query", {"enum": list(FORMATS), "default": "png"}),
                    *(
                        _parameter(each.name, "query", _setting(each, known), as_flags(known.help))
                        for each, known in settings_of(CONFIGS["fast-stylize"])
                    ),
                ],
                body=photo,
            )
        },
        "/api/pictures": {
            "post": _operation(
                "Bring a picture in: its bytes as the body",
                {JSON: {"schema": _ref("Picture")}},
                [name],
                body=photo,
                status="201",
            )
        },
        "/api/clips": {
            "post": _operation(
                f"Bring a clip of {LONGEST_CLIP:.0f} seconds at the most in: its bytes as the body",
                {JSON: {"schema": _ref("Picture")}},
                [name],
                body={"required": True, "content": {"video/*": {}}},
                status="201",
            )
        },
        "/api/pictures/{id}": {
            "get": _operation("A picture at a size to look at, as JPEG", picture, [id, side]),
            "delete": _operation("Forget a picture that came in", {}, [id], status="204"),
        },
        "/api/pictures/{id}/file": {
            "get": _operation("The file, as it came in or was made", picture, [id])
        },
        "/api/preview": {
            "post": _operation(
                "A small picture of one fast pass, as JPEG. `slot`: a later request in the same "
                "slot takes its place; `rank`: 0 goes before 1.",
                picture,
                body=asked,
            )
        },
        "/api/inspect": {
            "post": _operation(
                "What a classifier looks at in a picture, or which pictures of a folder are like "
                "it: a labelled sheet, as JPEG",
                picture,
                body={"required": True, "content": {JSON: {"schema": _ref("Inspection")}}},
            )
        },
        "/api/inspect/command-line": {
            "post": _operation(
                "The command line that does the same",
                {JSON: {"schema": _object(command_line={"type": "string"})}},
                body={"required": True, "content": {JSON: {"schema": _ref("Inspection")}}},
            )
        },
        "/api/mask": {
            "post": _operation(
                "Where a mask by name applies, white on black, at a size to look at, as PNG",
                {"image/png": {}},
                body={
                    "required": True,
                    "content": {JSON: {"schema": _object(photo=ID, mask=MASK)}},
                },
            )
        },
        "/api/plan": {
            "post": _operation(
                "What a painting would take: size, seconds (null: not known before), bytes of "
                "memory; measured, so it takes a moment",
                {
                    JSON: {
                        "schema": _object(
                            size={"type": "array", "items": {"type": "integer"}},
                            seconds={"type": ["number", "null"]},
                            memory={"type": "integer"},
                            tile={"type": "integer"},
                            device={"type": "string"},
                            device_reason={"type": "string"},
                            precision={"type": "string"},
                            seed={"type": "integer"},
                            warnings={"type": "array", "items": {"type": "string"}},
                        )
                    }
                },
                body=asked,
            )
        },
        "/api/command-line": {
            "post": _operation(
                "The command line that does the same",
                {JSON: {"schema": _object(command_line={"type": "string"})}},
                body=asked,
            )
        },
        "/api/jobs": {
            "post": _operation("Paint: put it into the queue", job, body=asked, status="202"),
            "get": _operation(
                "All paintings", {JSON: {"schema": {"type": "array", "items": _ref("Job")}}}
            ),
        },
        "/api/jobs/{id}": {"get": _operation("A painting", job, [id])},
        "/api/jobs/{id}/stop": {
            "post": _operation("Stop it and keep the picture so far", job, [id])
        },
        "/api/jobs/{id}/preview": {"get": _operation("What it looks like so far", picture, [id])},
        "/api/jobs/{id}/events": {
            "get": _operation(
                "Server-sent events of a painting, those of `--json`, until it has ended",
                events,
                [id],
            )
        },
        "/api/events": {
            "get": _operation(
                "Server-sent events of all paintings",
                events,
                [_parameter("after", "query", {"type": "integer"}, "Only those after this one")],
            )
        },
        "/api/styles/{name}": {
            "get": _operation(
                "The picture of a built-in style",
                picture,
                [_parameter("name", "path", _names(builtin_styles())), side],
            )
        },
        "/api/facts": {
            "get": _operation("Styles, settings and limits", {JSON: {"schema": {"type": "object"}}})
        },
    }


def _operation(
    summary: str,
    content: dict[str, Any],
    parameters: list[dict[str, Any]] | None = None,
    *,
    body: dict[str, Any] | None = None,
    status: str = "200",
) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": summary}
    if content:
        answer["content"] = content
    wrong = {"description": "Why not", "content": {JSON: {"schema": _ref("Error")}}}
    operation: dict[str, Any] = {"summary": summary, "responses": {status: answer, "4XX": wrong}}
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = body
    return operation


def _parameter(name: str, where: str, schema: dict[str, Any], about: str = "") -> dict[str, Any]:
    found = {"name": name, "in": where, "schema": schema, "required": where == "path"}
    return found | ({"description": about} if about else {})


def _names(known: Any) -> dict[str, Any]:
    return {"type": "string", "examples": list(known)}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _style() -> dict[str, Any]:
    either = [{"required": ["name"]}, {"required": ["picture"]}]
    weight = {"type": "number", "exclusiveMinimum": 0, "default": 1}
    name = {"type": "string", "description": "A style that cnnart brings"}
    return _object(name=name, picture=ID, weight=weight, mask=MASK) | {"oneOf": either}


def _request(command: str) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "command": {"const": command},
        "photo": ID,
        "settings": _ref(f"Settings of {command}"),
    }
    for name in TAKES[command]:
        if name == "seconds":
            about = "Of a clip; without it as long as it is"
            properties[name] = {"type": "number", "maximum": LONGEST_CLIP, "description": about}
            continue
        many = {"type": "array", "items": _ref("Style"), "minItems": 1, "maxItems": MOST_STYLES}
        properties[name] = many if name == "styles" else MASK if name == "mask" else ID
    required = [
        "command",
        *(["photo"] if "clip" not in TAKES[command] else []),
        *(["styles"] if "styles" in TAKES[command] else []),
    ]
    return _object(**properties) | {"required": required, "additionalProperties": False}


def _settings(config: type) -> dict[str, Any]:
    properties = {each.name: _setting(each, known) for each, known in settings_of(config)}
    return _object(**properties) | {"additionalProperties": False}


def _setting(each: Any, known: Any) -> dict[str, Any]:
    """A setting as JSON Schema."""
    schema: dict[str, Any] = {"description": known.help}
    if known.choices:
        schema["enum"] = list(known.choices)
    elif known.kind == "size":
        sides = {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}
        schema["oneOf"] = [
            {"type": "integer", "description": "The long side in pixels"},
            sides | {"description": "Height and width"},
            {"type": "string", "description": "For print: A4, 60x40cm@300dpi, 24MP"},
        ]
    else:
        kinds = {"int": "integer", "float": "number", "bool": "boolean", "str": "string"}
        named = [kinds[part] for part in str(each.type).split(" | ") if part in kinds]
        if named:
            schema["type"] = named[0] if len(named) == 1 else named
        ends = {"minimum": known.low, "maximum": known.high}
        ends |= {"exclusiveMinimum": known.above, "exclusiveMaximum": known.below}
        schema |= {key: value for key, value in ends.items() if value is not None}
    if isinstance(each.default, int | float | str):
        schema["default"] = each.default
    return schema
