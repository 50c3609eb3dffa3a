# SPDX-License-Identifier: Apache-2.0
"""Everything that ends up on the FPGA or stands in for it. Never imports model or flows."""
