# SPDX-License-Identifier: Apache-2.0
"""What the flow has to know about the nodes for which FINN has RTL: one file per operator."""
