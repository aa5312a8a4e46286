"""What a stream map would make of a record if it filtered none out: which contact the source still has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from target_appcrm.read.change import read_change
from target_appcrm.read.stream_maps import apply_map
from target_appcrm.read.stream_schema import StreamSchema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from singer_sdk.mapper import PluginMapper

    from target_appcrm.match.keys import MatchKey
    from target_appcrm.settings import TargetSettings


def without_filters(stream_maps: Mapping[str, Any]) -> dict[str, Any]:
    """Return stream maps that let every record through."""
    return {
        stream: {name: rule for name, rule in rules.items() if name != "__filter__"}
        if isinstance(rules, dict)
        else rules
        for stream, rules in stream_maps.items()
    }


def match_keys_of(
    mapper: PluginMapper,
    stream: str,
    schema: Mapping[str, Any],
    record: Mapping[str, Any],
    settings: TargetSettings,
) -> tuple[MatchKey, ...]:
    """Return the match keys of a record as it stood in some input.

    Args:
        mapper: of streams without filters, whose streams it may register.
        stream: as the input named it.
        schema: SCHEMA message of the stream.
        record: before its map.
        settings: of the target.

    Raises:
        Unwritable: the record cannot be read.
    """
    keys = schema.get("key_properties")
    mapper.register_raw_stream_schema(stream, schema["schema"], keys)
    stream_map = mapper.stream_maps[stream][0]
    mapped = apply_map(stream_map, record) or {}
    described = StreamSchema.make(
        stream_map.stream_alias,
        stream_map.transformed_schema,
        stream_map.transformed_key_properties,
        stream,
        schema["schema"],
        keys,
    )
    return read_change(mapped, described, settings).keys
