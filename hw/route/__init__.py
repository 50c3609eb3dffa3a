# SPDX-License-Identifier: Apache-2.0
"""Routed timing of a design on a chip of another make, by tools that come from pip."""
