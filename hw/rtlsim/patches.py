# SPDX-License-Identifier: Apache-2.0
"""Changes to files of finn-rtllib that Verilator 5.48 cannot read, or simulates slowly, applied to copies while a
design is compiled.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from hw.rtlsim.patching import AnyPatch, Exchange, Floats, Move, Patch, Shapes

_HOISTED = "a constant function may not be declared in a generate block (IEEE 1800-2023, 13.4.3)"
_PACKED = "a constant function may only return a packed struct in Verilator"
_ELEMENTS = "a constant function writes only arrays of one dimension, of a vector, in Verilator"
_DSPFP32 = "DSPFP32 is a primitive of Vivado; what finn-rtllib has for its simulation stands for it"
_DSP58 = "DSP58 is a primitive of Vivado; what it does as it is configured here stands for it"

_FMA = """\
	// What binopf.sv takes for a multiplication and an addition
	logic [31:0]  A1 = 0, B1 = 0, C[1:3] = '{ default: 0 }, M[2:3] = '{ default: 0 }, P4 = 0;
	always_ff @(posedge clk) begin
		A1 <= a;
		B1 <= b;
		C <= { c, C[1:2] };
		M <= { $shortrealtobits($bitstoshortreal(A1) * $bitstoshortreal(B1)), M[2] };
		P4 <= $shortrealtobits($bitstoshortreal(C[3]) + $bitstoshortreal(M[3]));
	end
	assign	r = P4;
	assign	{ invalid, overflow, underflow } = 0;
"""

_DOT_PRODUCT = """\
			// Three products of 9 by 8 bits, summed
			logic [2:0][8:0]  A1 = 0;
			logic [2:0][7:0]  B1 = 0;
			logic signed [57:0]  M2 = 0, P3 = 0;
			always_ff @(posedge clk) begin
				if(en) begin
					A1 <= a_in_i[j];
					B1 <= b_in_i[i][j];
					M2 <= $signed(A1[0])*$signed(B1[0]) + $signed(A1[1])*$signed(B1[1]) + $signed(A1[2])*$signed(B1[2]);
					P3 <= M2;
				end
			end
			assign	pout[i][j] = P3;
"""


PATCHES: tuple[AnyPatch, ...] = (
    Patch(
        file="fifo.sv",
        reason=_PACKED,
        old="typedef struct {\n\t\tint unsigned  lo;",
        new="typedef struct packed {\n\t\tint unsigned  lo;",
    ),
    Move(
        file="add_multi.sv",
        reason=_HOISTED,
        first="\t\ttypedef int unsigned  leaf_load_t",
        last="endfunction : init_leaf_loads\n",
        before="\tuwire [SUM_WIDTH-1:0]  sum0;\n",
    ),
    *(
        Move(
            "pad1d.sv",
            _HOISTED,
            first,
            last,
            before="\tif(PAD_LEFT_TOKENS + PAD_RIGHT_TOKENS == 0) begin : genTrivial\n",
        )
        for first, last in (
            ("\t\ttypedef logic [SIMD-1:0][ELEM_WIDTH-1:0]  fold_t;", "\n"),
            ("\t\tlocalparam int unsigned  NUM_PHASES", "\n"),
            ("\t\tlocalparam int unsigned  FOLDS_PER_TOKEN", "CNT_WRAP = INIT_CNT_WRAP();\n"),
            ("\t\t//=== Output Register Stage", "PAD_FOLDS = INIT_PAD_FOLDS();\n"),
        )
    ),
    Patch(
        "pad1d.sv", _ELEMENTS, old="typedef fold_t  pad_folds_t", new="typedef logic [SIMD*ELEM_WIDTH-1:0]  pad_folds_t"
    ),
    Patch(
        "skid.sv",
        "a format needs its argument",
        old='FEED_STAGES exceeds SRL capacity.");',
        new='FEED_STAGES exceeds SRL capacity.", FEED_STAGES);',
    ),
    Patch(
        "inner_shuffle.sv",
        "Verilator casts only between packed types",
        old="typedef logic [$clog2(SIMD)-1:0]  rotidx_vec_t[SIMD-1:0];",
        new="typedef logic [SIMD-1:0][$clog2(SIMD)-1:0]  rotidx_vec_t;",
    ),
    Shapes("where.sv"),
    Shapes("*_core.sv"),
    Shapes("input_gen.sv"),
    Shapes("mvu_tiled_axi.sv"),
    *(
        Patch(
            "requant.sv", _PACKED, old=f"typedef struct {{\n\t\t{field}", new=f"typedef struct packed {{\n\t\t{field}"
        )
        for field in ("int unsigned  s;", "bit signed ", "int unsigned  min;")
    ),
    *(
        Patch("requant.sv", _ELEMENTS, old=old, new=new)
        for old, new in (
            ("typedef params_t  params_mat_t[PE][CF];", "typedef bit [$bits(params_t)-1:0]  params_mat_t[PE*CF];"),
            ("foreach(res[pe, cf]) begin", "for(int pe = 0; pe < PE; pe++)  for(int cf = 0; cf < CF; cf++) begin"),
            ("res[pe][cf] = p;", "res[pe*CF + cf] = p;"),
            ("PARAMS[pe][cf].shift;", "PARAMS[pe*CF + cf];  // its low bits"),
            ("PARAMS[pe][cnl_sel];", "PARAMS[pe*CF + cnl_sel];"),
        )
    ),
    Patch(
        "requant.sv",
        "Verilator has no parts of zero bits",
        old="if(sm[0+:25-MUL_WIDTHS.s] != 0)",
        new="if((sm & ((26'd1 << (25-MUL_WIDTHS.s)) - 1)) != 0)",
    ),
    *(
        Patch(
            "softmaxf.sv",
            "a constant function cannot read behind the end of an array in Verilator",
            old=f"{before}.\n\t\ttypedef bit edge_delays_t[2*SIMD-1];",
            new=f"{before}.\n\t\ttypedef bit edge_delays_t[2*SIMD+1];",
        )
        for before in ("non-power-of-two SIMD", "(matches softmaxf_max)")
    ),
    *(
        Move(file, _HOISTED, first, "EDGE_DELAYS = INIT_EDGE_DELAYS();\n", before)
        for file, first, before in (
            (
                "layernorm.sv",
                "\t\t\t\ttypedef bit edge_delays_t[2*SIMD-1];\n",
                "\tfor(genvar  step = 0; step < 2; step++) begin : genNormDiamonds\n",
            ),
            (
                "softmaxf.sv",
                "\t\t// Edge delay balancing for non-power-of-two SIMD.\n",
                "\tif(SIMD == 1) begin : genNoTree\n",
            ),
            (
                "softmaxf.sv",
                "\t\t// Edge delay balancing for non-power-of-two SIMD (matches softmaxf_max).\n",
                "\tif(SIMD <= 1) begin : genSumNoTree\n",
            ),
        )
    ),
)

MODELS: tuple[AnyPatch, ...] = (
    Exchange("cu_mvau_tiled.sv", _DSP58, "\t\t\tDSP58 #(\n", "\n\t\t\t);\n", _DOT_PRODUCT),
    *(
        Patch(file, _DSPFP32, old=f"{before}bit  FORCE_BEHAVIORAL = 0", new=f"{before}bit  FORCE_BEHAVIORAL = 1")
        for file, before in (
            ("binopf.sv", ""),
            ("accuf.sv", ""),
            ("rsqrtf.sv", "module rsqrtf_dspfp32 #(\n\t"),
            ("layernorm.sv", ""),
            ("eltwise.sv", ""),
        )
    ),
    *(Exchange(file, _DSPFP32, "\tDSPFP32 #(\n", "\n\t);\n", _FMA) for file in ("pwpolyf.sv", "softmax_pwpolyf.sv")),
    *(
        Floats(file)
        for file in ("binopf.sv", "accuf.sv", "rsqrtf.sv", "requant.sv", "pwpolyf.sv", "softmax_pwpolyf.sv")
    ),
)
"""For simulation only: what Vivado alone has."""


_VECTOR = "a vector moves in a few operations; of an unpacked array, each element does with a flag of its own"
_NO_CONFIG = "without run-time thresholds there are only TH and NOP, which Verilator does not see through the registers"
_BRANCHES = "a branch that cannot be predicted costs more than the sum"

FASTER: tuple[Patch, ...] = (
    Patch("thresholding.sv", _VECTOR, old="pipe_t  pipe[PE][M+1];", new="pipe_t [PE-1:0][M:0]  pipe;"),
    Patch(
        "thresholding.sv",
        _VECTOR,
        old="logic        [PE-1 : 0][M-1 : 0]  ADat[A_DEPTH];",
        new="logic [A_DEPTH-1 : 0][PE-1 : 0][M-1 : 0]  ADat;",
    ),
    Patch(
        "thresholding.sv",
        _VECTOR,
        old="""foreach(pipe[pe])  ADat[0][pe] <= pipe[pe][M].ptr;
				for(int unsigned  i = 1; i < A_DEPTH; i++)  ADat[i] <= ADat[i-1];
""",
        new="""ADat <= { ADat, (PE*M)'(0) };
				foreach(pipe[pe])  ADat[0][pe] <= pipe[pe][M].ptr;
""",
    ),
    Patch(
        "thresholding.sv",
        _NO_CONFIG,
        old="if(P.op !=? CFG)  pp.ptr[SN] = Scope && cmp;",
        new="if(!USE_CONFIG || P.op !=? CFG)  pp.ptr[SN] = (SCOPE_REDUCE == 0 || Scope) && cmp;",
    ),
    Patch("thresholding.sv", _NO_CONFIG, old="if(Reval) ", new="if(USE_CONFIG && Reval) "),
    Patch(
        "thresholding.sv",
        _BRANCHES,
        old="GuardSem + (inc == dec? 0 : inc? 1 : -1)",
        new="GuardSem + $signed({ 1'b0, inc }) - $signed({ 1'b0, dec })",
    ),
    Patch(
        "thresholding.sv",
        _BRANCHES,
        old="APtr + (aload == (avld && bload)? 0 : aload? 1 : -1)",
        new="APtr + $signed({ 1'b0, aload }) - $signed({ 1'b0, avld && bload })",
    ),
    Patch("fifo.sv", _VECTOR, old="dat_t  ODatLo[PIPE_DEPTH];", new="dat_t [0:PIPE_DEPTH-1]  ODatLo;"),
    Patch("fifo.sv", _VECTOR, old="logic  OVld[PIPE_DEPTH] = ", new="logic [0:PIPE_DEPTH-1]  OVld = "),
    Patch(
        "mvu.sv",
        _BRANCHES,
        old="// synthesis translate off\n\t\t\t\t\t\t(B1 === '0) || (AD1 === '0)? 0 :\n",
        new="// synthesis translate off\n\t\t\t\t\t\t// Nothing is unknown here that a zero would have to hide.\n",
    ),
    Patch("mvu.sv", _VECTOR, old="logic [1:0]  xx[(NUM_LANES-1):1];", new="logic [NUM_LANES-1:1][1:0]  xx;"),
    *(
        Patch("mvu.sv", _VECTOR, old=f"logic [1:0]  X{n}[NUM_LANES-1:1] = ", new=f"logic [NUM_LANES-1:1][1:0]  X{n} = ")
        for n in (1, 2, 3)
    ),
)
"""For simulation only. No cycle and no value is another."""


def read_all(sources: Sequence[Path]) -> dict[str, bytes]:
    """Contents of `sources`, patched. Keys: relative paths, numbered, that keep the file name."""
    return {f"{index}/{path.name}": patched(path) for index, path in enumerate(sources)}


def patched(path: Path, patches: Sequence[AnyPatch] = (*PATCHES, *MODELS, *FASTER)) -> bytes:
    """Content of the file at `path`, patched. Raises PatchError and FileNotFoundError."""
    wanted = [patch for patch in patches if fnmatch(path.name, patch.file)]
    content = path.read_bytes()
    if not wanted:
        return content
    text = content.decode()
    for patch in wanted:
        text = patch.apply(text, path)
    return text.encode()
