# SPDX-License-Identifier: Apache-2.0
"""Networks: the registry, the families, and the layers that each precision builds them of."""

from model.networks.create import create_network, to_brevitas
from model.networks.families import Network
from model.networks.kit import Precision
from model.networks.registry import NETWORKS, Family, NetworkSpec, Recovery, network_spec
