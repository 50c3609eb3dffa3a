# SPDX-License-Identifier: Apache-2.0
"""Networks: the registry, the families, and the layers that each precision builds them of."""

from model.networks.create import Backend, create_network, to_brevitas
from model.networks.families import Network
from model.networks.kit import Precision
from model.networks.registry import NETWORKS, TEACHERS, Family, NetworkSpec, Recovery, network_spec

__all__ = [
    "NETWORKS",
    "TEACHERS",
    "Backend",
    "Family",
    "Network",
    "NetworkSpec",
    "Precision",
    "Recovery",
    "create_network",
    "network_spec",
    "to_brevitas",
]
