# SPDX-License-Identifier: Apache-2.0
"""Graph transformations, one per file."""
