# SPDX-License-Identifier: Apache-2.0
"""What each of the processes of test_distributed.py does: a few steps in double precision, then its results."""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from model.data import Images, load_images
from model.networks import Network, create_network
from model.training.distributed import joined_world
from model.training.evaluation import accuracy
from model.training.job import Job
from model.training.recipe import Recipe
from model.training.trainer import Trainer


def double_values(network: Network) -> None:
    """Let a network compute in double precision, where roundings are far too small to turn a sign."""
    network.double()
    values = network.values
    network.values = lambda images: values(images).double()  # type: ignore[method-assign]


def main(recipe: str, folder: Path) -> None:
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    data = load_images("tiny", "train")
    assert data.labels is not None
    part = Images(data.dataset, data.images[:96], data.labels[:96])
    network = create_network("tiny", seed=0)
    double_values(network)
    with joined_world() as world:
        trainer = Trainer(network, Job(Recipe.model_validate_json(recipe), part, 0), world)
        course = [trainer.advance() for _ in range(5)]
        right = accuracy(network, load_images("tiny", "test"), world=world)
        tensors = {name: tensor.double() for name, tensor in network.state_dict().items()}
        gradients = {f"{name}.gradient": p.grad for name, p in network.named_parameters() if p.grad is not None}
        figures = torch.tensor([[r.loss, r.accuracy, -1.0 if r.erased is None else r.erased] for r in course])
        result = {**tensors, **gradients, "course": figures, "right": torch.tensor([right.correct, right.images])}
        save_file(
            {name: tensor.contiguous() for name, tensor in result.items()},
            folder / f"{world.size}-{world.rank}.safetensors",
        )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
