# SPDX-License-Identifier: Apache-2.0
"""Resource figures by Yosys."""
