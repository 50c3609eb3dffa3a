# SPDX-License-Identifier: Apache-2.0
"""Data sets: CIFAR-10, digits and sample photographs as uint8 arrays, ImageNet picture by picture."""

from model.data.images import Images, Part, Split, TestSet
from model.data.load import (
    DATA_VARIABLE,
    TrainingData,
    check_folder,
    class_names,
    load_data,
    load_images,
    sample_images,
)
from model.data.pictures import Pictures

__all__ = [
    "DATA_VARIABLE",
    "Images",
    "Part",
    "Pictures",
    "Split",
    "TestSet",
    "TrainingData",
    "check_folder",
    "class_names",
    "load_data",
    "load_images",
    "sample_images",
]
