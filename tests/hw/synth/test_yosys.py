# SPDX-License-Identifier: Apache-2.0
"""Synthesis of small modules: exact cells, the cache, names, memory files and failures."""

from pathlib import Path

import finn
import pytest

from hw.design.finnlib import patched
from hw.synth import yosys
from hw.synth.resources import Resources
from hw.synth.yosys import Module, SynthesisError

FIFO = Path(finn.__file__).parent / "finn-rtllib" / "fifo" / "hdl" / "fifo.sv"

REGISTER = """\
module {name} #(parameter int unsigned W = 8) (input logic clk, input logic [W-1:0] d, output logic [W-1:0] q);
  always_ff @(posedge clk) q <= d;
endmodule
"""
AND = """\
module {name} (input logic [5:0] a, output logic y);
  assign y = &a;
endmodule
"""
MACC = """\
module {name} (input logic clk, en, input logic signed [17:0] a, b, input logic [47:0] c, output logic [47:0] p);
  logic signed [35:0] m;
  always_ff @(posedge clk) if (en) begin
    m <= a * b;
    p <= 48'(m) + c;
  end
endmodule
"""
ROM = """\
module {name} (input logic clk, input logic [{high}:0] a, output logic [7:0] q);
  (* {attribute} *) logic [7:0] rom [2**($left(a)+1)];
  initial $readmemh("{file}", rom);
  always_ff @(posedge clk) q <= rom[a];
endmodule
"""

TABLE = """\
module {name} (input logic [5:0] a, output logic [7:0] q);
  localparam logic [7:0] Table [64] = '{{{words}}};
  assign q = Table[a];
endmodule
"""
WORDS = ", ".join(f"8'd{i**3 % 251}" for i in range(64))


def source(folder: Path, text: str, name: str, **values: object) -> Path:
    path = folder / f"{name}.sv"
    path.write_text(text.format(name=name, **values))
    return path


def rom(folder: Path, name: str, *, file: str = "", bits: int = 6, attribute: str = "", step: int = 37) -> Path:
    words = folder / f"{name}_words.dat"
    words.write_text("".join(f"{(step * i + (i * i >> 3)) % 256:02x}\n" for i in range(2**bits)))
    text = ROM if attribute else ROM.replace("(* {attribute} *) ", "")
    return source(folder, text, name, high=bits - 1, file=file or words, attribute=attribute)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def fifo(folder: Path, depth: int, style: str = "auto") -> Module:
    path = folder / f"fifo_{depth}_{style}.sv"
    path.write_text(
        f"module {path.stem} (input logic ap_clk, rst, [7:0] d, logic v, s, output logic r, [7:0] q, logic w);\n"
        f'  fifo #(.DEPTH({depth}), .DATA_WIDTH(8), .RAM_STYLE("{style}")) i (.clk(ap_clk), .rst, .idat(d), .ivld(v),\n'
        "    .irdy(r), .odat(q), .ovld(w), .ordy(s), .count(), .maxcount());\n"
        "endmodule\n"
    )
    library = folder / FIFO.name
    library.write_text(patched(FIFO))
    return Module(path.stem, (path, library))


def test_modules_of_one_batch(tmp_path: Path, cache: Path) -> None:
    """One process for all, as its start takes most of the time."""
    modules = {
        "register": Module("register", (source(tmp_path, REGISTER, "register"),)),
        "wide": Module("wide", (source(tmp_path, REGISTER, "wide"),), parameters={"W": 13}),
        "gate": Module("gate", (source(tmp_path, AND, "gate"),)),
        "same gate": Module("another", (source(tmp_path, AND, "another"),)),
        "rom in logic": Module("rom_small", (rom(tmp_path, "rom_small", attribute='ram_style = "distributed"'),)),
        "rom in bram": Module("rom_large", (rom(tmp_path, "rom_large", bits=10, attribute='RAM_STYLE = "block"'),)),
        "constant": Module("zeros", (rom(tmp_path, "zeros", step=0),)),
        "table": Module("table_of", (source(tmp_path, TABLE, "table_of", words=WORDS),)),
        "shift": fifo(tmp_path, 32),
        "distributed": fifo(tmp_path, 64, "distributed"),
        "block": fifo(tmp_path, 64, "block"),
    }
    calls: list[tuple[int, int]] = []
    found = yosys.synthesise_all(modules, cache_dir=cache, progress=lambda done, total: calls.append((done, total)))
    assert list(found) == list(modules)
    assert calls == [(0, 11), (6, 11), (11, 11)]
    assert found["register"] == Resources(ff=8)
    assert found["wide"] == Resources(ff=13)
    assert found["gate"] == found["same gate"] == Resources(lut=1)
    # 64 words are a table for each bit: the content has arrived, and the attribute did not stop the flow
    assert 6 <= found["rom in logic"].lut <= 8
    assert found["rom in logic"].bram36 == 0
    assert found["rom in bram"] == Resources(bram36=0.5)
    assert found["table"] == Resources(lut=8)  # neither a memory nor a chain
    # eight bits of a FIFO in eight shift registers: the point of shift_taps.v
    assert found["shift"].lutram == 8
    assert found["shift"].ff < 24
    assert found["distributed"].lutram in range(8, 17)
    assert (found["block"].bram36, found["block"].lutram) == (0.5, 0)


def test_memories_and_blocks_of_ultrascale_plus(tmp_path: Path, cache: Path) -> None:
    """Of each depth that a LUT RAM can have, one that is deeper than a RAM512X1S, and what goes into a DSP block."""
    modules = {}
    for bits in (6, 8, 9, 10):
        text = (
            f"module ram{bits} (input logic ap_clk, we, [{bits - 1}:0] a, [3:0] d, output logic [3:0] q);\n"
            f'  (* ram_style = "distributed" *) logic [3:0] mem [2**{bits}];\n'
            "  always_ff @(posedge ap_clk) if (we) mem[a] <= d;\n  assign q = mem[a];\nendmodule\n"
        )
        modules[str(bits)] = Module(f"ram{bits}", (source(tmp_path, text, f"ram{bits}"),))
    modules["block"] = Module("rom_large", (rom(tmp_path, "rom_large", bits=10, attribute='RAM_STYLE = "block"'),))
    modules["multiply and add"] = Module("macc", (source(tmp_path, MACC, "macc"),))
    found = yosys.synthesise_all(modules, "xcup", cache_dir=cache)
    assert found["multiply and add"] == Resources(dsp=1)
    assert [found[bits].lutram for bits in ("6", "8", "9", "10")] == [4, 16, 32, 64]
    assert found["block"] == Resources(bram36=0.5)


def test_the_mistake_is_still_in_yosys_library() -> None:
    """When it no longer is, _lutrams and _map_memory can go."""
    assert yosys._lutrams().count('option "ABITS" 9 {') == 1


def test_the_second_time_nothing_runs(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    def synthesised(path: Path, width: int) -> Resources:
        return yosys.synthesise_all({"it": Module("again", (path,), {"W": width})}, cache_dir=cache)["it"]

    first = synthesised(source(tmp_path, REGISTER, "again"), 21)
    monkeypatch.setattr(yosys, "_WORKER", Path("/nowhere"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = source(elsewhere, REGISTER, "again")
    assert synthesised(moved, 21) == first == Resources(ff=21)
    with pytest.raises(SynthesisError):
        synthesised(moved, 22)


def test_the_key_knows_memories_and_parameters(tmp_path: Path) -> None:
    """Named by an absolute path, by one in the folder, or by what the names of several have in common."""
    for name in ("a", "b"):
        (tmp_path / name / "rom").mkdir(parents=True)
    for index in range(2):
        (tmp_path / "a" / "rom" / f"w_{index}.dat").write_text("00\n")
        (tmp_path / "b" / "rom" / f"w_{index}.dat").write_text(f"0{index}\n")
    text = 'module {name}; localparam P = "./rom/w_", A = "/", B = "./none", C = "auto"; endmodule'
    path = source(tmp_path, text, "top")
    modules = [Module("top", (path,), folder=tmp_path / name) for name in ("a", "b")]
    modules += [Module("top", (path,), {"W": 1}, tmp_path / "a")]
    modules += [Module("top", (path,), {"W": str(tmp_path / name / "rom" / "w_1.dat")}) for name in ("a", "b")]
    assert len({yosys._key(module, "settings") for module in modules}) == len(modules)
    assert yosys._key(modules[0], "settings") == yosys._key(modules[0], "settings") != yosys._key(modules[0], "other")


def test_memories_of_a_design_are_found_from_its_folder(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "a folder with spaces"
    (folder / "rom").mkdir(parents=True)
    made = rom(tmp_path, "lookup", file="./rom/words.dat", attribute='ram_style = "distributed"')
    (tmp_path / "lookup_words.dat").rename(folder / "rom" / "words.dat")
    found = yosys.synthesise_all({"lookup": Module("lookup", (made,), folder=folder)}, cache_dir=cache)
    assert 6 <= found["lookup"].lut <= 8


def test_a_module_that_yosys_refuses(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "broken.sv"
    path.write_text("module broken (input logic a); missing i (.a); endmodule\n")
    with pytest.raises(SynthesisError, match="broken") as error:
        yosys.synthesise_all({"it": Module("broken", (path,))}, cache_dir=cache)
    assert error.value.log is not None
    assert "missing" in error.value.log.read_text()
    assert not list(cache.glob("synth/synth-*")), "no working folder is left behind"


def test_a_cell_of_unknown_size_is_no_result(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "pad.sv"
    box = "(* blackbox *) module mystery (input logic i, output logic o); endmodule"
    path.write_text(f"{box}\nmodule pad (input logic a, output logic y); mystery m (.i(a), .o(y)); endmodule\n")
    for _ in range(2):  # nor is it one when asked again
        with pytest.raises(SynthesisError, match="pad: cells of unknown size in the netlist: mystery") as error:
            yosys.synthesise_all({"it": Module("pad", (path,))}, cache_dir=cache)
        assert error.value.log is not None
        assert "TECHMAP" in error.value.log.read_text()


def test_a_source_that_is_not_there(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(FileNotFoundError):
        yosys.synthesise_all({"it": Module("a", (tmp_path / "a.sv",))}, cache_dir=cache)


def test_no_yosys(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise yosys.metadata.PackageNotFoundError(name)

    assert yosys.tool() == "Yosys 0.70 (pyosys)"
    monkeypatch.setattr(yosys.metadata, "version", missing)
    with pytest.raises(SynthesisError, match="install"):
        yosys.tool()


def test_batches_hold_every_job_once_and_fill_the_workers(tmp_path: Path) -> None:
    path = source(tmp_path, AND, "gate")
    jobs = [yosys._Job(Module("gate", (path,)), str(number)) for number in range(1, 60)]
    batches = yosys._batches(jobs, 2)
    assert sorted(job.key for batch in batches for job in batch) == sorted(job.key for job in jobs)
    assert max(map(len, batches)) <= yosys._BATCH
    assert len(yosys._batches(jobs[:3], 2)) == 2
    assert yosys._batches([], 2) == []
