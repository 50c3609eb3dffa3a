# SPDX-License-Identifier: Apache-2.0
"""Errors of the operators."""

from __future__ import annotations


class UnsupportedNodeError(ValueError):
    """A node asks for something that its hardware cannot do; the message starts with the node's name."""

    def __init__(self, node: str, problem: str) -> None:
        super().__init__(f"{node}: {problem}")
        self.node = node
        self.problem = problem
