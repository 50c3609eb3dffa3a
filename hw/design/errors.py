# SPDX-License-Identifier: Apache-2.0
"""Errors of designs."""


class DesignError(Exception):
    """The nodes of a design cannot be wired together; the message names the node and the reason."""
