# SPDX-License-Identifier: Apache-2.0
"""design/: the RTL of every node and the top that wires them, with FIFOs as deep as a simulation asks for."""

from flows.errors import ToolError
from flows.pipeline import Context, Step
from flows.report.summary import StepResult

FOLDER = "design"


class Designed(StepResult):
    """FIFOs of the design: their bits, the choices of depths that were tried, and the beats that want to wait."""

    fifo_bits: int
    trials: int
    peaks: dict[str, int]


def run(context: Context) -> Designed:
    """Size the FIFOs; the result is the design that is simulated, synthesised and packaged."""
    from hw import finn_env
    from hw.design.fifos import Prices, spare_block_rams
    from hw.rtlsim.depths import FifoError, size_fifos

    scratch = context.folder / "scratch"
    finn_env.setup(scratch)
    have, model = context.board.resources, context.model("specialise")
    spare = spare_block_rams(model, context.board.part, context.board.left["bram36"])
    prices = Prices(context.board.part, have.lut / max(2 * have.bram36, 1), spare)
    try:
        sized = size_fifos(
            model,
            prices,
            context.clock_ns,
            context.folder / FOLDER,
            scratch,
            progress=context.status,
        )
    except FifoError as error:
        raise ToolError(str(error), context.log) from error
    context.save(sized.model)
    return Designed(fifo_bits=sized.design.fifo_bits(), trials=sized.trials, peaks=sized.peaks)


STEP = Step("design", run, Designed, needs=("specialise",), compiles=lambda config: True)
