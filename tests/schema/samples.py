"""Configurations made at random from a schema, and broken at random."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

BROKEN = st.sampled_from([None, "", "x", "true", "5", 5, -5, 1.5, True, [], ["x"], {}, {"x": "x"}])
SLIPS = st.dictionaries(st.sampled_from(["enabeld", "adr"]), BROKEN, max_size=1)

DURATIONS = ["0", "1s", "10m", "1h30m", "1.5h", "100ms"]
FORMATTED = {
    "duration": DURATIONS,
    "seconds": DURATIONS,
    "origin": ["https://a", "http://a:9/", "a://a/b"],
}
"""Texts by format; the last address has a path, which is wrong."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Generator of configurations from a schema."""

    left_out: Collection[str] = ()
    """Dotted paths of which there is nothing: what can't start here, whatever its type."""
    texts: Mapping[str, list[Any]] = field(default_factory=dict)
    """Values to choose from by the last name of a path."""
    names: tuple[str, ...] = ("a", "X-B")
    """Names for the maps whose names are free."""
    rare: int = 20
    """One value in so many is broken."""

    def values(self, schema: Mapping[str, Any], path: str = "") -> st.SearchStrategy[Any]:
        """Return values that `schema` has, and now and then one that it hasn't."""
        sound = self._sound(schema, path)
        return st.integers(0, self.rare - 1).flatmap(lambda chance: sound if chance else BROKEN)

    def maps(self, schema: Mapping[str, Any], path: str = "") -> st.SearchStrategy[Any]:
        """Return maps as `schema` has them, now and then with a name that it hasn't."""
        prefix = f"{path}." if path else ""
        if not schema.get("properties"):
            others = self.values(schema["additionalProperties"], f"{prefix}*")
            return st.dictionaries(st.sampled_from(self.names), others, max_size=2)
        parts = {
            name: self.values(each, f"{prefix}{name}")
            for name, each in schema["properties"].items()
            if f"{prefix}{name}" not in self.left_out
        }
        some = st.fixed_dictionaries({}, optional=parts)
        slips = st.integers(0, self.rare - 1).flatmap(
            lambda chance: st.just({}) if chance else SLIPS
        )
        return st.tuples(some, slips).map(lambda pair: pair[0] | pair[1])

    def _sound(self, schema: Mapping[str, Any], path: str) -> st.SearchStrategy[Any]:
        kind, last = schema.get("type"), path.rpartition(".")[2]
        if last in self.texts:
            return st.sampled_from(self.texts[last])
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        if "format" in schema:
            return st.sampled_from(FORMATTED[schema["format"]])
        if kind == "boolean":
            return st.sampled_from([True, False, "true", "false"])
        if kind == "integer":
            step, least = schema.get("multipleOf", 1), schema.get("minimum", -3)
            most = schema.get("maximum", least + 1000 * step)
            return st.integers(least // step, most // step).map(lambda number: number * step)
        if kind == "number":
            return st.floats(0, 1)
        if kind == "array":
            return st.lists(self.values(schema["items"], f"{path}[]"), max_size=2)
        if kind == ["object", "boolean"]:
            return st.one_of(st.booleans(), self.maps(schema, path))
        if kind == "object":
            return self.maps(schema, path)
        return st.sampled_from(["a", "images", "12", "true", "/tmp", "é"])  # noqa: S108
