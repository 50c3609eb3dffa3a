# SPDX-License-Identifier: Apache-2.0
"""Makes the parts of the deployment package: RTL with its memories, settings, stand-in, Vivado scripts."""
