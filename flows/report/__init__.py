# SPDX-License-Identifier: Apache-2.0
"""summary.json and report.html."""
