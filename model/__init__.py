# SPDX-License-Identifier: Apache-2.0
"""IR2Net in PyTorch and Brevitas: networks, training, evaluation and QONNX export."""
