# SPDX-License-Identifier: Apache-2.0
"""RTL of an XNOR-popcount unit made from its weights, which become constants of the look-up tables.

The unit takes a whole vector in a beat. Around what is made here stands the hand-written `xnor_stream`, and behind
it hand-written popcounts; see the headers of hw/rtl.

One word of weights: up to four neurons share counts. A position belongs to a class by which of the others agree there
with the first; each class is counted once, and additions and subtractions of the classes' counts give all sums.

Several words: three positions are a group, of which a look-up table of their bits and the word's number makes a carry
bit. The parities of groups, again three a group, make the next carry bits, and so on: the vector's part of a parity is
the same for all neurons and words, the weights' part a constant of the table.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

SHARING = 4
"""Neurons that share counts. Fewer add less and count more; more need more additions than they save counts."""
GROUP = 3
"""Positions of a group; its table has three inputs beside the bits of the word's number."""
LUT_INPUTS = 6
CELLS = ("xnor_stream", "popcount_delayed", "popcount_groups")
"""What an unit instantiates of hw/rtl, beside what those do."""

MOST_WORDS = 16
"""From which on a memory of the weights costs less."""
SHARED_LUTS = ((15, 0.8), (13, 0.95), (25, 1.05), (40, 1.14))
"""LUTs of one, two, ... neurons that share counts, and those a position."""
LEVELED_LUTS = ((2, 4, 8), (0.8, 0.83, 0.87))
"""Words, and LUTs a position and neuron of a word."""
PARITY_LUTS = 0.48
"""A position, beside these: what all neurons share."""
FOLDED_LUTS = ((8, 16), (1.28, 2.0))
"""Of more words. All these are fitted to what Yosys makes of random weights."""

Weights = npt.NDArray[np.bool_]
"""Of each neuron, one row, the bit of each position."""
Pattern = tuple[bool, ...]
"""Which of the neurons after the first agree with it."""


def unit(name: str, weights: Weights, pe: int, count_bits: int) -> str:
    """Return the text of module ``name``, with FINN's ports.

    Args:
        name: of the module.
        weights: (MH, MW).
        pe: neurons of a word, PE.
        count_bits: of an output element.
    """
    mh, mw = weights.shape
    words = weights.reshape(mh // pe, pe, mw)
    if mh == pe:
        latency, lines = _shared(weights)
    elif GROUP + _bits(mh // pe - 1) <= LUT_INPUTS and mw > GROUP:
        latency, lines = _leveled(words)
    else:
        latency, lines = _folded(words)
    parameters = f".MW({mw}), .MH({mh}), .PE({pe}), .AccWidth({count_bits}), .Latency(Latency)"
    return "\n".join([
        "// SPDX-License-Identifier: Apache-2.0",
        "//",
        f"// Generated from the weights of {mh} neurons of {mw} inputs, {pe} of them at a time: how many inputs agree.",
        "",
        "`default_nettype none",
        "",
        f"module {name} (",
        "  input  wire  ap_clk,",
        "  input  wire  ap_rst_n,",
        f"  input  wire  [{_bytes(mw)}-1:0] in0_V_TDATA,",
        "  input  wire  in0_V_TVALID,",
        "  output logic in0_V_TREADY,",
        f"  output logic [{_bytes(pe * count_bits)}-1:0] out0_V_TDATA,",
        "  output logic out0_V_TVALID,",
        "  input  wire  out0_V_TREADY",
        ");",
        "",
        *latency,
        "  logic en;",
        f"  logic [{mw - 1}:0] a;  // the vector",
        f"  logic [{_bits(mh // pe - 1) - 1}:0] word;",
        f"  logic [{pe - 1}:0][{_bits(mw) - 1}:0] counts;",
        f"  logic [{pe - 1}:0][{count_bits - 1}:0] results;",
        f"  for (genvar p = 0; p < {pe}; p++) begin : gen_result",
        f"    assign results[p] = {count_bits}'(counts[p]);",
        "  end",
        f"  xnor_stream #({parameters}) i_stream (",
        "    .ap_clk, .ap_rst_n,",
        "    .in0_V_TDATA, .in0_V_TVALID, .in0_V_TREADY, .out0_V_TDATA, .out0_V_TVALID, .out0_V_TREADY,",
        "    .en_o(en), .acts_o(a), .word_o(word), .counts_i(results)",
        "  );",
        *lines,
        "",
        "endmodule",
        "",
        "`default_nettype wire",
        "",
    ])  # fmt: skip


def luts(mh: int, mw: int, pe: int, count_bits: int) -> float:
    """Return about how many LUTs the unit takes; within 5 % of Yosys for 36 to 288 inputs."""
    stream = pe * count_bits + 12
    if pe == mh:
        batches = [min(SHARING, mh - first) for first in range(0, mh, SHARING)]
        return stream + sum(alone + each * mw for alone, each in (SHARED_LUTS[size - 1] for size in batches))
    if mh // pe <= LEVELED_LUTS[0][-1]:
        return stream + mw * (PARITY_LUTS + pe * float(np.interp(mh // pe, *LEVELED_LUTS)))
    return stream + pe * mw * float(np.interp(mh // pe, *FOLDED_LUTS))


def _batched(texts: list[str], size: int) -> list[list[str]]:
    return [texts[first : first + size] for first in range(0, len(texts), size)]


def _bytes(bits: int) -> int:
    return -(-bits // 8) * 8


def _bits(largest: int) -> int:
    return max(1, int(largest).bit_length())


# ---- one word: neurons that share counts


@dataclass(frozen=True)
class _Term:
    """A sum in the making: a signal of 0 .. largest, which is ``offset`` more than what it stands for."""

    signal: str
    largest: int
    offset: int = 0

    @property
    def width(self) -> int:
        return _bits(self.largest)


def _shared(weights: Weights) -> tuple[list[str], list[str]]:
    """Return the declaration of the latency, and the arithmetic."""
    mh, mw = weights.shape
    width = _bits(mw)
    batches = [range(first, min(first + SHARING, mh)) for first in range(0, mh, SHARING)]
    stages = len(batches[0]) - 1
    classes = [_classes(weights[list(batch)]) for batch in batches]
    largest = max(2, *(len(positions) for of_batch in classes for positions in of_batch.values()))
    latency = [
        f"  localparam int unsigned Counted = popcount_pkg::tree_latency({largest});  // of the largest class",
        f"  localparam int unsigned Latency = Counted + {stages};",
    ]
    lines = [
        "  logic unused;",
        "  assign unused = word;",
        "",
        "  // b + k, in gates: with k constant they vanish in the adder behind them.",
        f"  function automatic logic [{width - 1}:0] plus(logic [{width - 1}:0] b, logic [{width - 1}:0] k);",
        "    logic carry;",
        "    carry = 1'b0;",
        f"    for (int i = 0; i < {width}; i++) begin",
        "      plus[i] = b[i] ^ k[i] ^ carry;",
        "      carry   = (b[i] & k[i]) | (carry & (b[i] | k[i]));",
        "    end",
        "  endfunction",
    ]
    for batch, of_batch in zip(batches, classes, strict=True):
        lines += _Batch(weights, batch, width, stages + 1 - len(batch)).lines(of_batch)
    return latency, lines


def _classes(weights: Weights) -> dict[Pattern, list[int]]:
    """Return the positions of each class of a few neurons, also of an empty one."""
    agree = weights[1:] == weights[0]
    classes: dict[Pattern, list[int]] = {p: [] for p in itertools.product((True, False), repeat=len(agree))}
    for position, pattern in enumerate(agree.T.tolist()):
        classes[tuple(pattern)].append(position)
    return classes


@dataclass
class _Batch:
    """The arithmetic of neurons that share counts, written while it is made.

    Attributes:
        weights: of all neurons.
        neurons: those that share.
        width: bits of a count of all positions.
        late: cycles that the counts of classes wait, where others need more additions.
    """

    weights: Weights
    neurons: Sequence[int]
    width: int
    late: int
    written: list[str] = field(default_factory=list)
    _terms: int = 0
    _missing: dict[int, int] = field(default_factory=dict)

    def lines(self, classes: dict[Pattern, list[int]]) -> list[str]:
        """Return declarations, counts of classes and additions."""
        first, last = self.neurons[0], self.neurons[-1]
        letters = f"; a position counts for its class, agreeing or differing with {first + 1} .. {last}" * (
            last > first
        )
        self.written += ["", f"  // ---- Neurons {first} .. {last}{letters}."]
        terms = {pattern: self._count(pattern, positions) for pattern, positions in classes.items()}
        if len(self.neurons) == 1:
            self.written.append(f"  assign counts[{first}] = {terms[()].signal};")
            return self.written
        # A neuron sums agreeing positions; where it differs from the first, those are the others of a class.
        self._missing = dict.fromkeys(self.neurons, 0)
        for pattern, positions in classes.items():
            for neuron, agrees in zip(self.neurons[1:], pattern, strict=True):
                self._missing[neuron] += 0 if agrees else len(positions)
        self._solve(terms, self.neurons)
        return self.written

    def _count(self, pattern: Pattern, positions: list[int]) -> _Term:
        """Count the positions of a class in which the vector agrees with the first neuron."""
        if not positions:
            return _Term("1'b0", 0)
        signal = f"n{self.neurons[0]}_{''.join('ad'[not agrees] for agrees in pattern) or 'all'}"
        term = _Term(signal, len(positions))
        row = self.weights[self.neurons[0]]
        bits = [f"{'' if row[position] else '~'}a[{position}]" for position in positions]
        self.written += [
            f"  logic [{term.width - 1}:0] {signal};",
            f"  popcount_delayed #(.N({len(bits)}), .Latency(Counted + {self.late})) i_{signal} (",
            "    .clk_i(ap_clk), .en_i(en), .bits_i({",
            ",\n".join(f"      {', '.join(row)}" for row in _batched(bits, 10)),
            f"    }}), .count_o({signal})",
            "  );",
        ]
        return term

    def _solve(self, terms: dict[Pattern, _Term], neurons: Sequence[int]) -> None:
        """Make the counts of neurons: of the first it is the sum of all terms, the patterns say the others' signs."""
        pairs = {p[1:]: (terms[p], terms[tuple(not agrees for agrees in p)]) for p in terms if p[0]}
        # Where the terms of a pair have the same sign for the first, they have opposite ones for all others.
        values = [term for pair in pairs.values() for term in pair]
        while len(values) > 2:
            values = [self._sum(*pair) for pair in zip(values[::2], values[1::2], strict=True)]
        self._result(neurons[0], *values)
        if len(neurons) == 2:
            self._result(neurons[1], *pairs[()], minus=True)
        else:
            self._solve({p: self._difference(*pair) for p, pair in pairs.items()}, neurons[1:])

    def _sum(self, one: _Term, other: _Term) -> _Term:
        term = self._term(one.largest + other.largest, one.offset + other.offset)
        self._register(term, f"{term.width}'({one.signal}) + {term.width}'({other.signal})")
        return term

    def _difference(self, one: _Term, other: _Term) -> _Term:
        """Subtract with a power of two above, so that the difference is positive and its carry the top bit."""
        width = max(one.width, other.width)
        if width == self.width:
            term = self._term(one.largest + other.largest, one.offset - other.offset)
            self._register(term, f"{width}'({one.signal}) - {width}'({other.signal})")
            return term
        above = 1 << width
        term = self._term(one.largest + above, one.offset - other.offset + above)
        self._register(term, f"{{1'b1, {width}'({one.signal})}} - {width + 1}'({other.signal})")
        return term

    def _result(self, neuron: int, one: _Term, other: _Term, *, minus: bool = False) -> None:
        """Make the count of a neuron of two terms, in the bits that it has; what is above them cancels."""
        constant = self._missing[neuron] - one.offset - (-other.offset if minus else other.offset)
        signal = f"{self.width}'({other.signal})"
        if minus:  # - b = ~b + 1
            signal, constant = f"~{signal}", constant + 1
        if constant:
            signal = f"plus({signal}, {self.width}'d{constant % (1 << self.width)})"
        self.written.append(
            f"  always_ff @(posedge ap_clk) if (en) counts[{neuron}] <= {self.width}'({one.signal}) + {signal};"
        )

    def _term(self, largest: int, offset: int) -> _Term:
        """Name a new term; of one that is wider than a count, the bits above cancel in the end."""
        self._terms += 1
        return _Term(f"n{self.neurons[0]}_t{self._terms}", min(largest, (1 << self.width) - 1), offset)

    def _register(self, term: _Term, expression: str) -> None:
        self.written.append(f"  logic [{term.width - 1}:0] {term.signal};")
        self.written.append(f"  always_ff @(posedge ap_clk) if (en) {term.signal} <= {expression};")


# ---- up to eight words: carries of groups, of their parities, of the parities of those


def _leveled(weights: npt.NDArray[np.bool_]) -> tuple[list[str], list[str]]:
    """Return the declaration of the latency, and the arithmetic for weights (NF, PE, MW).

    Positions agree where vector ^ odd is 1, with odd the complement of the weights; groups agree in an odd number of
    positions where the parities of both differ, and so on up to all of them, the lowest bit of the count.
    """
    words, pe, mw = weights.shape
    depth = 1 << _bits(words - 1)
    odd = ~weights[np.arange(depth) % words].transpose(1, 0, 2)  # words that are never asked for repeat others
    sizes: list[int] = []
    lines: list[str] = []
    source = "a"
    while odd.shape[-1] > 1:
        level, size = len(sizes), -(-odd.shape[-1] // GROUP)
        padded = np.zeros((pe, depth, GROUP * size), np.bool_)
        padded[..., : odd.shape[-1]] = odd
        odd = np.logical_xor.reduce(padded.reshape(pe, depth, GROUP, size), axis=2)
        sizes.append(size)
        lines += _level(level, source, padded)
        source = f"parities{level}"
    trees = [f"popcount_pkg::tree_latency({bits})" for bits in (sizes[0], sum(sizes[1:]))]
    latency = [
        "  // The carries of level 0, and one cycle later all others.",
        f"  localparam int unsigned Counted = ({trees[0]} > {trees[1]}) ? {trees[0]} : {trees[1]} + 1;",
        "  localparam int unsigned Latency = Counted + 2;",
    ]
    lines += [
        "",
        "  // ---- The lowest bit: whether an odd number of all positions agrees.",
        *_constant("logic Odd", odd),
        "  logic all;",
        f"  logic [{_bits(words - 1) - 1}:0] later;",
        "  always_ff @(posedge ap_clk) begin",
        "    if (en) begin",
        f"      all   <= {source};",
        "      later <= word;",
        "    end",
        "  end",
        "",
        f"  for (genvar p = 0; p < {pe}; p++) begin : gen_neuron",
        *(line for level, size in enumerate(sizes) for line in _carries(level, size, depth)),
        *_counted(sizes, depth, _bits(mw)),
        "  end",
    ]
    return latency, lines


def _level(level: int, source: str, odd: npt.NDArray[np.bool_]) -> list[str]:
    """The bits of a level and their groups' parities, which all neurons share; odd (PE, words, bits) is constant."""
    size = odd.shape[-1] // GROUP
    return [
        "",
        f"  // ---- Level {level}: group g of {size} holds bits g, g + {size} and g + {2 * size} of {source}.",
        f"  typedef logic [{GROUP - 1}:0][{size - 1}:0] level{level}_t;",
        *_constant(f"level{level}_t Odd{level}", odd),
        f"  level{level}_t bits{level}, now{level};",
        f"  logic [{size - 1}:0] parities{level};",
        f"  assign now{level} = {GROUP * size}'({source});",
        f"  assign parities{level} = now{level}[0] ^ now{level}[1] ^ now{level}[2];",
        f"  always_ff @(posedge ap_clk) if (en) bits{level} <= now{level};" if level else "  assign bits0 = now0;",
    ]


def _carries(level: int, size: int, depth: int) -> list[str]:
    """Of a neuron: in which groups of a level at least two bits agree."""
    return [
        f"    level{level}_t agree{level};",
        f"    logic [{size - 1}:0] carries{level};",
        f"    assign agree{level} = bits{level} ^ Odd{level}[p*{depth} + 32'({'later' if level else 'word'})];",
        f"    assign carries{level} = (agree{level}[0] & agree{level}[1])",
        f"                     | (agree{level}[2] & (agree{level}[0] | agree{level}[1]));",
    ]


def _counted(sizes: list[int], depth: int, count_bits: int) -> list[str]:
    """Of a neuron: twice the carries of all levels, and the lowest bit."""
    rest, upper = sum(sizes[1:]), count_bits - 1
    above = ", ".join(f"carries{level}" for level in range(1, len(sizes)))
    return [
        f"    logic [{sizes[0] - 1}:0] first;",
        f"    logic [{rest - 1}:0] rest;",
        "    logic lowest, low;",
        "    always_ff @(posedge ap_clk) begin",
        "      if (en) begin",
        "        first  <= carries0;",
        f"        rest   <= {{{above}}};",
        f"        lowest <= all ^ Odd[p*{depth} + 32'(later)];",
        "      end",
        "    end",
        f"    logic [{_bits(sizes[0]) - 1}:0] in_first;",
        f"    logic [{_bits(rest) - 1}:0] in_rest;",
        f"    popcount_delayed #(.N({sizes[0]}), .Latency(Counted)) i_first (",
        "      .clk_i(ap_clk), .en_i(en), .bits_i(first), .count_o(in_first)",
        "    );",
        f"    popcount_delayed #(.N({rest}), .Latency(Counted - 1)) i_rest (",
        "      .clk_i(ap_clk), .en_i(en), .bits_i(rest), .count_o(in_rest)",
        "    );",
        "    popcount_delayed #(.N(1), .Latency(Counted - 1)) i_lowest (",
        "      .clk_i(ap_clk), .en_i(en), .bits_i(lowest), .count_o(low)",
        "    );",
        "    always_ff @(posedge ap_clk) begin",
        f"      if (en) counts[p] <= {{{upper}'(in_first) + {upper}'(in_rest), low}};",
        "    end",
    ]


# ---- several words: tables of groups


def _folded(weights: npt.NDArray[np.bool_]) -> tuple[list[str], list[str]]:
    """Return the declaration of the latency, and the first level for weights (NF, PE, MW)."""
    words, pe, mw = weights.shape
    groups = -(-mw // GROUP)
    # Of the positions beyond MW the bits are 0, and so never agree. Words that are never asked for repeat others.
    depth = 1 << _bits(words - 1)
    padded = np.ones((pe, depth, GROUP * groups), np.bool_)
    padded[..., :mw] = weights[np.arange(depth) % words].transpose(1, 0, 2)
    odd = np.logical_xor.reduce(~padded.reshape(pe, depth, GROUP, groups), axis=2)
    latency = [f"  localparam int unsigned Latency = popcount_pkg::xnor_latency({mw});"]
    # The parity of the vector's bits can be shared, and a synthesiser does what the brackets suggest.
    # All groups at once: a simulator does on words what a synthesiser makes tables of, group by group.
    lines = [
        "",
        f"  // ---- Group g of {groups} holds positions g, g + {groups} and g + {2 * groups} of the vector.",
        f"  typedef logic [{GROUP - 1}:0][{groups - 1}:0] groups_t;",
        "",
        f"  // Of neuron p of word w: [p * {depth} + w].",
        *_constant("groups_t Weights", padded),
        "",
        "  // Whether a group of no ones agrees in an odd number of positions.",
        *_constant(f"logic [{groups - 1}:0] Odd", odd),
        "",
        "  groups_t bits;",
        f"  logic [{pe - 1}:0][{groups - 1}:0] sums, carries;",
        f"  assign bits = {GROUP * groups}'(a);",
        f"  for (genvar p = 0; p < {pe}; p++) begin : gen_neuron",
        "    groups_t agree;",
        f"    assign agree      = bits ~^ Weights[p*{depth} + 32'(word)];",
        "    assign carries[p] = (agree[0] & agree[1]) | (agree[2] & (agree[0] | agree[1]));",
        f"    assign sums[p]    = (bits[2] ^ bits[1] ^ bits[0]) ^ Odd[p*{depth} + 32'(word)];",
        "  end",
        f"  popcount_groups #(.N({mw}), .PE({pe})) i_groups (",
        "    .clk_i(ap_clk), .en_i(en), .sums_i(sums), .carries_i(carries), .counts_o(counts)",
        "  );",
    ]
    return latency, lines


def _constant(declared: str, rows: npt.NDArray[np.bool_]) -> list[str]:
    """Return an array (PE, words, bits), the neurons one after the other."""
    pe, words, bits = rows.shape
    numbers = [f"{bits}'h{_number(row):0{-(-bits // 4)}x}" for row in rows.reshape(pe * words, bits)]
    return [f"  localparam {declared} [{pe * words}] = '{{", *(f"    {number}," for number in numbers[:-1]),
            f"    {numbers[-1]}", "  };"]  # fmt: skip


def _number(bits: npt.NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(bits, bitorder="little").tobytes(), "little")
