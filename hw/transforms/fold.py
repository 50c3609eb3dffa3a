# SPDX-License-Identifier: Apache-2.0
"""How many elements each node works on at a time: enough for the frame rate, with as little hardware as possible."""

from __future__ import annotations

import copy
import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from onnx import helper
from qonnx.util.basic import remove_by_name

from hw.ops.cost import RESOURCES, Budget, Cost, Shares
from hw.ops.operator import Settings
from hw.ops.width_converter import converter
from hw.transforms.fold_options import Choice, Edge, FoldingError, Site, Wanted, analyse, slowest

__all__ = ["Budget", "FoldResult", "FoldingError", "fold"]

FIFOS = 0.1
"""Share of the other nodes' LUTs allowed for FIFOs (resnet20 takes 0.04 in the end); only simulation knows them."""
MISFIT = 1.0
"""Charge for neighbours whose widths are no multiple of each other, as a share of the device: never worth it."""
MAX_SWEEPS = 20
WEIGHINGS = 12
LEAST_WEIGHT = 1e-3
"""Of a resource that is free as yet, which must not be squandered."""
FILLED: Shares = (1.0, 0.8, 0.9)
"""Share of LUTs, block RAMs and DSP blocks up to which they are there to save LUTs: the last block RAMs save more in
FIFOs (24 of resnet20's take 1,208 LUT fewer with 12 BRAM36), and some of each are left to place and route."""
LIGHT = (LEAST_WEIGHT, 0.06, 0.2)
"""Weights of block RAMs and DSP blocks with which a folding is looked for where LUTs are what is scarce."""
GAINS = (1.25, 1.5, 2.0)
"""Times the frame rate of the folding taken, for which ``FoldResult.faster`` says what they would cost."""


@dataclass(frozen=True)
class Faster:
    """A folding that is faster than the one taken.

    Attributes:
        cycles: cycles a frame.
        nodes: names of those that are folded otherwise than in the folding taken; a single one if one is enough.
        cost: of the whole design, estimated.
        more: what of it is added.
        fits: whether it is within the budget.
    """

    cycles: int
    nodes: tuple[str, ...]
    cost: Cost
    more: Cost
    fits: bool


@dataclass(frozen=True)
class FoldResult:
    """A folded graph, and what is to be expected of it.

    Attributes:
        model: the graph with PE, SIMD and memory styles set.
        cycles: cycles a frame of every node, by name.
        bottleneck: name of the node with the most cycles.
        met: whether no node takes more than the target and the estimate is within the budget.
        message: one line for the user.
        cost: estimated resources, with an allowance for FIFOs.
        binds: what keeps it from being faster.
        faster: what more frames a second would cost, the smallest gain first; empty where nothing is faster.
        rtl_names: what each node will be called once it is an RTL node.
        folding: what was chosen, by these names, so that it can be asked for again.
    """

    model: Any
    cycles: dict[str, int]
    bottleneck: str
    met: bool
    message: str
    cost: Cost
    binds: str
    faster: tuple[Faster, ...]
    rtl_names: dict[str, str]
    folding: dict[str, Settings]


def fold(
    model: Any, *, target_cycles: int | None, budget: Budget, part: str, folding: Wanted | None = None
) -> FoldResult:
    """Fold every node so that a frame takes at most ``target_cycles``, at the least cost.

    Streams of neighbouring nodes get widths that are multiples of each other, since our width converter can do
    nothing else. If the target is out of reach, or does not fit, the fastest folding that fits is taken.

    Args:
        model: partition of generic nodes as ``convert`` makes it, or of specialised ones before converters and
            FIFOs are inserted, with unique node names; it is left as it is.
        target_cycles: clock frequency / frames per second; None for the fastest that fits.
        budget: what the design may use.
        part: FPGA part, e.g. xc7z020clg400-1.
        folding: attributes that the user wants for some nodes, by their names here or as RTL nodes.

    Returns:
        The folded graph with its figures.

    Raises:
        FoldingError: the target is not positive, or ``folding`` names what is not there or does not divide.
    """
    if target_cycles is not None and target_cycles < 1:
        raise FoldingError(f"a frame cannot take {target_cycles} cycles; the target must be at least 1")
    model = copy.deepcopy(model)
    sites, edges, rtl_names = analyse(model, part, folding or {})
    problem = _Problem(sites, edges, rtl_names, budget)
    reachable = max(target_cycles or 1, problem.floor)
    choice = problem.fastest_that_fits(reachable)
    problem.check_widths(choice)
    for node in model.graph.node:
        for name, value in choice[node.name].attributes.items():
            # Also an attribute that the generic operator does not know; specialisation hands it on.
            remove_by_name(node.attribute, name)
            node.attribute.append(helper.make_attribute(name, value))
    return _result(model, problem, choice, target_cycles, reachable)


@dataclass(frozen=True)
class _Problem:
    sites: list[Site]
    edges: list[Edge]
    rtl_names: dict[str, str]
    budget: Budget

    @property
    def floor(self) -> int:
        """Cycles a frame when every node is unfolded as far as it goes."""
        return max(map(_fastest, self.sites))

    def fastest_that_fits(self, reachable: int) -> Choice:
        """The folding for the smallest limit from ``reachable`` on that is within the budget.

        When there is none, the folding for the largest.
        """
        cycles = {slowest(choice) for site in self.sites for choice in site}
        limits = [reachable, *sorted(limit for limit in cycles if limit > reachable)]
        low, high = 0, 0
        choice = self.choose(limits[0])
        while self.total(choice).excess(self.budget) and high < len(limits) - 1:
            # Doubling steps first: most targets are met, or nearly.
            low, high = high, min(2 * high + 1, len(limits) - 1)
            choice = self.choose(limits[high])
        while high - low > 1:
            middle = (low + high) // 2
            trial = self.choose(limits[middle])
            if self.total(trial).excess(self.budget):
                low = middle
            else:
                high, choice = middle, trial
        return self._pushed(choice, reachable)

    def _pushed(self, choice: Choice, reachable: int) -> Choice:
        """``choice`` with its slowest node unfolded further, again and again, as long as that fits and helps."""
        while slowest(choice) > reachable and not self.total(choice).excess(self.budget):
            other = self._single_change(choice)
            if other is None or self.total(other).excess(self.budget):
                break
            choice = other
        return choice

    def choose(self, limit: int) -> Choice:
        """The cheapest folding with at most ``limit`` cycles a node.

        Unlike resources are compared by their share of the budget, times weights: those of all but what a folding uses
        most of fall for the next, the more the less it uses of them. So constants move into block RAM as far as LUTs
        are scarcer. The weights come to rest where resources that can replace each other are equally scarce. Of what
        was met on the way, and where LUTs count most, the choice of fewest LUTs is taken that leaves some of the rest.
        """
        weights: Shares = (1.0,) * len(RESOURCES)
        light = itertools.product(LIGHT, repeat=len(RESOURCES) - 1)
        choices = [self._descend(limit, (1.0, *others)) for others in light]
        for _ in range(WEIGHINGS):
            choices.append(self._descend(limit, weights))
            shares = self.total(choices[-1]).shares(self.budget)
            scarcity = [w * share / max(shares) for w, share in zip(weights, shares, strict=True)]
            weights = tuple(max(each / max(scarcity), LEAST_WEIGHT) for each in scarcity)
        return min(choices, key=self._rank)

    def _rank(self, choice: Choice) -> tuple[float, float]:
        shares = self.total(choice).shares(self.budget)
        return max(1.0, *(share / filled for share, filled in zip(shares, FILLED, strict=True))), shares[0]

    def _descend(self, limit: int, weights: Shares) -> Choice:
        """Each site in turn takes the option that costs least next to its present neighbours, until none changes."""

        @functools.cache  # a search for a folding asks for a hundred thousand of few kinds
        def price_of_stream(bits: int, out: int, taken: int) -> float:
            return MISFIT if _misfit(out, taken) else self._price(_converter(bits, out, taken), weights)

        allowed = []
        choice: Choice = {}
        for site in self.sites:
            options = [(option, self._price(_cost(option), weights)) for option in site if slowest(option) <= limit]
            streams = [edge for edge in self.edges if edge.producer in site[0] or edge.consumer in site[0]]
            allowed.append((options, streams))
            choice |= min(options, key=lambda pair: pair[1])[0]
        for _ in range(MAX_SWEEPS):
            before = dict(choice)
            for options, streams in itertools.chain(allowed, reversed(allowed)):
                prices = []
                for option, price in options:
                    other = choice | option
                    prices.append(price + sum(price_of_stream(edge.bits, *_widths(other, edge)) for edge in streams))
                choice |= options[prices.index(min(prices))][0]
            if choice == before:
                break
        return choice

    def faster(self, choice: Choice) -> Iterator[Faster]:
        """What more frames a second than those of ``choice`` cost: by one node alone if that helps, and by all."""
        cycles, cost = slowest(choice), self.total(choice)
        single = self._single_change(choice)
        limits = [max(self.floor, int(cycles / gain)) for gain in GAINS]
        others = [self.choose(limit) for limit in dict.fromkeys(limits) if limit < cycles]
        fastest = {slowest(other): other for other in [*others, *filter(None, [single])]}
        for other in (fastest[limit] for limit in sorted(fastest, reverse=True)):
            changed = tuple(name for name in choice if other[name] != choice[name])
            total = self.total(other)
            more = Cost(*(new - old for new, old in zip(total, cost, strict=True)))
            yield Faster(slowest(other), changed, total, more, not total.excess(self.budget))

    def _single_change(self, choice: Choice) -> Choice | None:
        """The cheapest choice that is faster with one node folded otherwise; None where several are as slow."""
        cycles = slowest(choice)
        slow = [site for site in self.sites if any(choice[name].cycles == cycles for name in site[0])]
        if len(slow) > 1:
            return None
        others = [choice | option for option in slow[0] if slowest(option) < cycles]
        fitting = [other for other in others if not any(_misfit(*_widths(other, edge)) for edge in self.edges)]
        return min(fitting, key=lambda other: max(self.total(other).shares(self.budget)), default=None)

    def total(self, choice: Choice) -> Cost:
        """Cost of all nodes and width converters, with an allowance for FIFOs."""
        cost = sum((_converter(edge.bits, *_widths(choice, edge)) for edge in self.edges), _cost(choice))
        return Cost((1 + FIFOS) * cost.lut, cost.bram36, cost.dsp)

    def check_widths(self, choice: Choice) -> None:
        """Raise FoldingError where a stream would need a width converter that does not exist."""
        for edge in self.edges:
            out, taken = _widths(choice, edge)
            if _misfit(out, taken):
                raise FoldingError(
                    f"{self.rtl_names[edge.producer]} gives {out} elements a beat and "
                    f"{self.rtl_names[edge.consumer]} takes {taken}; "
                    "one has to be a multiple of the other"
                )

    def _price(self, cost: Cost, weights: Shares) -> float:
        return sum(share * weight for share, weight in zip(cost.shares(self.budget), weights, strict=True))


def _fastest(site: Site) -> int:
    """Cycles of a site when it is unfolded as far as it goes."""
    return min(slowest(choice) for choice in site)


def _cost(choice: Choice) -> Cost:
    return sum((option.cost for option in choice.values()), Cost())


def _widths(choice: Choice, edge: Edge) -> tuple[int, int]:
    """Elements a beat at the two ends of a stream, the producer's first."""
    return choice[edge.producer].outputs[edge.port], choice[edge.consumer].inputs[edge.slot]


def _converter(bits: int, out: int, taken: int) -> Cost:
    return converter(out * bits, taken * bits)


def _misfit(out: int, taken: int) -> bool:
    return max(out, taken) % min(out, taken) != 0


def _result(model: Any, problem: _Problem, choice: Choice, target: int | None, reachable: int) -> FoldResult:
    cycles = {node.name: choice[node.name].cycles for node in model.graph.node}
    bottleneck = max(cycles, key=lambda name: cycles[name])
    cost = problem.total(choice)
    excess = cost.excess(problem.budget)
    met = not excess and (target is None or cycles[bottleneck] <= target)
    used = f"about {round(cost.lut)} LUT, {math.ceil(cost.bram36)} BRAM36, {math.ceil(cost.dsp)} DSP"
    taken = f"{cycles[bottleneck]} cycles a frame, set by {problem.rtl_names[bottleneck]}"
    if met and target is not None:
        binds, message = "the target", f"{taken}, of {target} allowed; {used}"
    else:
        binds = _reasons(problem, target, reachable, excess)
        message = f"{target or 'fewer'} cycles a frame are out of reach: {binds}. Taken: {taken}; {used}"
        if met:
            message = f"the fastest that fits: {taken}; {used}; {binds}"
    names = problem.rtl_names
    chosen = {names[name]: option.wanted for name, option in choice.items() if option.wanted}
    faster = tuple(problem.faster(choice))
    return FoldResult(model, cycles, bottleneck, met, message, cost, binds, faster, names, chosen)


def _reasons(problem: _Problem, target: int | None, reachable: int, excess: list[str]) -> str:
    """Why no fewer cycles a frame than ``reachable``, or not even these, were taken."""
    reasons = []
    wanted = problem.total(problem.choose(reachable)).excess(problem.budget)
    if (target is None and not wanted) or (target is not None and reachable > target):
        *_, limiting = next(site[0] for site in problem.sites if _fastest(site) == reachable)
        reasons.append(f"{problem.rtl_names[limiting]} needs at least {reachable} however it is folded")
    if wanted and not excess:
        reasons.append(f"{reachable} would take {', '.join(wanted)}")
    if excess:
        reasons.append(f"even the smallest folding takes {', '.join(excess)}")
    return "; ".join(reasons)
