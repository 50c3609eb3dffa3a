# SPDX-License-Identifier: Apache-2.0
"""The images on which graphs are compared: test images where the data set is given, sample photographs elsewhere."""

import numpy as np
from numpy.typing import NDArray

from flows.config import BuildConfig
from flows.errors import UserError


def verification_images(config: BuildConfig) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None, str]:
    """Images (N, C, H, W) uint8, their labels if known, and where they come from.

    Raises:
        UserError: `data_dir` was given and holds no images of the network's data set.
    """
    from model.data import load_images, sample_images
    from model.errors import ModelError

    try:
        if config.data_dir is None:
            found = sample_images(config.network, config.images)
        else:
            found = load_images(config.network, "test", config.data_dir)
    except ModelError as error:
        raise UserError(str(error)) from error
    labels = None if found.labels is None else found.labels[: config.images]
    return found.images[: config.images], labels, found.dataset
