# SPDX-License-Identifier: Apache-2.0
"""Data sets: CIFAR-10, one's own, digits, sample photographs as uint8 arrays, ImageNet picture by picture."""

from model.data.images import DataSet, Images, Part, Pictures, Split
from model.data.load import (
    DATA_VARIABLE,
    class_names,
    data_files,
    fitted,
    load_data,
    load_images,
    sample_images,
)
