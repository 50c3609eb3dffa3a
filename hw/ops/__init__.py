# SPDX-License-Identifier: Apache-2.0
"""FINN operators of this project, one per file: each is a cell of hw/rtl in a generated wrapper."""
