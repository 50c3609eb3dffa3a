# SPDX-License-Identifier: Apache-2.0
"""Images that come with scikit-learn and need no download: digits, and patches of photographs."""

import numpy as np
import numpy.typing as npt

from model.data.images import Images, Split

DIGITS_TEST_IMAGES = 360

PHOTO_WINDOW = 4
"""Photographs are averaged over windows of this size, so that a patch shows more than texture."""


def load_digits(split: Split) -> Images:
    """Return one split of the digits, 16 x 16 pixels, one channel."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    pixels, labels = datasets.load_digits(return_X_y=True)
    parts = train_test_split(pixels, labels, test_size=DIGITS_TEST_IMAGES, random_state=0, stratify=labels)
    pixels, labels = (parts[0], parts[2]) if split == "train" else (parts[1], parts[3])
    # 8x8 pixels of 0 .. 16 become 16x16 pixels of 0 .. 240.
    small = (pixels.reshape(-1, 1, 8, 8) * 15).astype(np.uint8)
    return Images("scikit-learn digits", small.repeat(2, axis=2).repeat(2, axis=3), labels.astype(np.int64))


def photo_patches(shape: tuple[int, int, int], count: int) -> npt.NDArray[np.uint8]:
    """Return patches of sample photographs, (count, channels, size, size): always the same ones."""
    from sklearn.datasets import load_sample_images

    channels, size, _ = shape
    photos = load_sample_images().images
    rng = np.random.default_rng(0)
    window = max(1, min(PHOTO_WINDOW, min(photos[0].shape[:2]) // size))
    side = size * window
    patches = np.empty((count, *shape), np.uint8)
    for index in range(count):
        photo = photos[index % len(photos)]
        top, left = (int(rng.integers(0, extent - side + 1)) for extent in photo.shape[:2])
        cut = photo[top : top + side, left : left + side]
        blocks = cut.reshape(size, window, size, window, -1).mean((1, 3))
        patches[index] = blocks.astype(np.uint8).transpose(2, 0, 1)[:channels]
    return patches
