# SPDX-License-Identifier: MIT
"""JSON Schema, as much of it as docs/openapi.yaml uses. `format` is date-time alone, as the daemon writes
times. A closed check also finds members of an object that its schema does not name."""

import base64
import re

ANNOTATIONS = {"description", "default", "example"}
KEYWORDS = ANNOTATIONS | {
    "$ref", "type", "const", "enum", "allOf", "anyOf", "oneOf",
    "properties", "required", "additionalProperties", "items", "prefixItems", "minItems", "maxItems",
    "minimum", "maximum", "minLength", "maxLength", "pattern", "format", "contentEncoding",
}  # fmt: skip
TYPES = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "integer": lambda value: isinstance(value, (int, float))
    and not isinstance(value, bool)
    and value == int(value),
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def same(one, other):
    """Equal as JSON: true is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


class Look:
    """What a schema and those beside it (allOf …) say about one value."""

    def __init__(self):
        self.faults = []
        self.named = set()  # members that some `properties` name
        self.lists_members = False
        self.takes_more = False

    def join(self, other):
        self.faults += other.faults
        self.named |= other.named
        self.lists_members |= other.lists_members
        self.takes_more |= other.takes_more


class Schemas:
    def __init__(self, document):
        self.document = document

    def resolve(self, thing):
        """A $ref followed; what stands beside it goes before."""
        while "$ref" in thing:
            found = self.document
            for key in thing["$ref"].removeprefix("#/").split("/"):
                found = found[key]
            thing = {**found, **{key: value for key, value in thing.items() if key != "$ref"}}
        return thing

    def check_all(self):
        """ValueError where the document has a schema with a keyword that is not known here."""
        self.look_for_schemas(self.document, "#")

    def look_for_schemas(self, thing, where):
        if isinstance(thing, list):
            for at, inner in enumerate(thing):
                self.look_for_schemas(inner, f"{where}/{at}")
        elif isinstance(thing, dict):
            for key, inner in thing.items():
                if key == "schema":
                    self.check_schema(inner, f"{where}/{key}")
                elif key == "schemas":
                    for name, one in inner.items():
                        self.check_schema(one, f"{where}/{key}/{name}")
                elif key not in ("example", "default"):
                    self.look_for_schemas(inner, f"{where}/{key}")

    def check_schema(self, schema, where):
        if unknown := set(schema) - KEYWORDS:
            raise ValueError(f"contract: {where}: no keyword we know: {', '.join(sorted(unknown))}")
        if schema.get("format", "date-time") != "date-time":
            raise ValueError(f"contract: {where}: no format we know: {schema['format']}")
        if "$ref" in schema:
            self.resolve(schema)
        for key in ("allOf", "anyOf", "oneOf", "prefixItems"):
            for at, inner in enumerate(schema.get(key, [])):
                self.check_schema(inner, f"{where}/{key}/{at}")
        for name, inner in schema.get("properties", {}).items():
            self.check_schema(inner, f"{where}/{name}")
        for key in ("items", "additionalProperties"):
            if isinstance(schema.get(key), dict):
                self.check_schema(schema[key], f"{where}/{key}")

    def read_text(self, schema, text):
        """The value that a parameter's text stands for."""
        kinds = self.resolve(schema).get("type", "string")
        if "integer" in kinds and re.fullmatch(r"-?\d+", text):
            return int(text)
        if "boolean" in kinds and text in ("true", "false"):
            return text == "true"
        return text

    def faults(self, schema, value, closed, where=""):
        look = self.look(schema, value, closed, where)
        if closed and isinstance(value, dict) and look.lists_members and not look.takes_more:
            for name in value.keys() - look.named:
                look.faults.append(f"{where or 'it'} has {name}, which is not in the contract")
        return look.faults

    def look(self, schema, value, closed, where):
        schema = self.resolve(schema)
        look = Look()
        self.look_at_value(schema, value, closed, where or "it", look)
        if isinstance(value, dict):
            self.look_at_object(schema, value, closed, where, look)
        elif isinstance(value, list):
            self.look_at_array(schema, value, closed, where, look)
        for inner in schema.get("allOf", []):
            look.join(self.look(inner, value, closed, where))
        for key in ("anyOf", "oneOf"):
            if key in schema:
                looks = [self.look(inner, value, closed, where) for inner in schema[key]]
                fitting = [one for one in looks if not one.faults]
                if not fitting:
                    nearest = min(looks, key=lambda one: len(one.faults))
                    look.faults.append(f"{where or 'it'} is none of its kinds: {nearest.faults[0]}")
                elif key == "oneOf" and len(fitting) > 1:
                    look.faults.append(f"{where or 'it'} is of {len(fitting)} kinds")
                for one in fitting:
                    look.join(one)
        return look

    @staticmethod
    def look_at_value(schema, value, closed, where, look):
        kinds = schema.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if kinds and not any(TYPES[kind](value) for kind in kinds):
            look.faults.append(f"{where} is {value!r:.80}, not {' or '.join(kinds)}")
            return
        if "const" in schema and not same(schema["const"], value):
            look.faults.append(f"{where} is {value!r:.80}, not {schema['const']!r}")
        if "enum" in schema and not any(same(one, value) for one in schema["enum"]):
            look.faults.append(f"{where} is {value!r:.80}, none of {schema['enum']}")
        size = value if TYPES["number"](value) else None
        limits = [("minimum", "maximum", size, "")]
        if isinstance(value, str):
            limits.append(("minLength", "maxLength", len(value), " characters"))
            if "pattern" in schema and not re.search(schema["pattern"], value):
                look.faults.append(f"{where} is {value!r:.80}, not {schema['pattern']}")
            if closed and "format" in schema and not TIME.fullmatch(value):
                look.faults.append(f"{where} is {value!r:.80}, no time of ours")
            if "contentEncoding" in schema:
                try:
                    base64.b64decode(value, validate=True)
                except ValueError:
                    look.faults.append(f"{where} is no base64")
        elif isinstance(value, list):
            limits.append(("minItems", "maxItems", len(value), " items"))
        for low, high, number, unit in limits:
            if number is not None:
                if low in schema and number < schema[low]:
                    look.faults.append(f"{where}: {number}{unit}, at least {schema[low]}")
                if high in schema and number > schema[high]:
                    look.faults.append(f"{where}: {number}{unit}, at most {schema[high]}")

    def look_at_object(self, schema, value, closed, where, look):
        for name in schema.get("required", []):
            if name not in value:
                look.faults.append(f"{where or 'it'} has no {name}")
        members = schema.get("properties", {})
        more = schema.get("additionalProperties")
        look.lists_members = "properties" in schema or more is False
        look.takes_more = more is True or isinstance(more, dict)
        look.named = set(members)
        for name, inner in value.items():
            place = f"{where}.{name}" if where else name
            if name in members:
                look.faults += self.faults(members[name], inner, closed, place)
            elif isinstance(more, dict):
                look.faults += self.faults(more, inner, closed, place)
            elif more is False:
                look.faults.append(f"{where or 'it'} may not have {name}")

    def look_at_array(self, schema, value, closed, where, look):
        first = schema.get("prefixItems", [])
        for at, inner in enumerate(value):
            place = f"{where}[{at}]"
            if at < len(first):
                look.faults += self.faults(first[at], inner, closed, place)
            elif "items" in schema:
                look.faults += self.faults(schema["items"], inner, closed, place)
