# SPDX-License-Identifier: Apache-2.0
"""What the flow and its designs achieve, measured against the project's targets."""
