"""The JSON Schema of an entry, for editors: what `config/processor.schema.json` holds.

It says what each key is and which words it takes. What only the program can know (whether dates, wires and places
agree) is for `gateway check`, which is the stricter of the two: whatever it takes, the schema takes.
"""

from __future__ import annotations

import orjson

from gateway.policy.facts import EntryForm

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def processor_schema() -> bytes:
    """The schema of `config/processors/ID.yaml` as JSON text, always the same bytes for the same program."""
    schema = {"$schema": DIALECT, **EntryForm.model_json_schema(), "title": "A sub-processor of the gateway"}
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
