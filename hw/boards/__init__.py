# SPDX-License-Identifier: Apache-2.0
"""The boards, one YAML file each."""
