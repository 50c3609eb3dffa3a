# SPDX-License-Identifier: Apache-2.0
"""YAML without surprises: plain values only, and no key twice, of which PyYAML silently takes the last."""

from __future__ import annotations

from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that stands twice."""
        keys = [key.value for key, _ in node.value]
        twice = next((key for number, (key, _) in enumerate(node.value) if key.value in keys[:number]), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"'{twice.value}' stands twice", twice.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(text: str) -> Any:
    """The content of a YAML text; raises yaml.YAMLError, with the line, for what is none or has a key twice."""
    return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
