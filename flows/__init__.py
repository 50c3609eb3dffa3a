# SPDX-License-Identifier: Apache-2.0
"""The build flow from checkpoint to deployment package."""
