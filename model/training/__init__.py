# SPDX-License-Identifier: Apache-2.0
"""Training: recipes, teachers, the trainer, and the files of a run."""
