# SPDX-License-Identifier: Apache-2.0
"""Makes the operators known to FINN."""

from __future__ import annotations

from finn.custom_op.fpgadataflow import rtl

from hw.ops.cell_op import CellOp
from hw.ops.channel_complement import ChannelComplement_rtl
from hw.ops.channel_pad import ChannelPad_rtl
from hw.ops.duplicate_streams import DuplicateStreams_rtl
from hw.ops.global_acc_pool import GlobalAccPool_rtl
from hw.ops.label_select import LabelSelect_rtl
from hw.ops.pool import Pool_rtl
from hw.ops.stream_add import StreamAdd_rtl
from hw.ops.streaming_concat import StreamingConcat_rtl
from hw.ops.width_converter import WidthConverter_rtl
from hw.ops.xnor_mvau import XnorMVAU_rtl

OPERATORS: tuple[type[CellOp], ...] = (
    XnorMVAU_rtl,
    StreamAdd_rtl,
    DuplicateStreams_rtl,
    StreamingConcat_rtl,
    Pool_rtl,
    GlobalAccPool_rtl,
    LabelSelect_rtl,
    ChannelPad_rtl,
    ChannelComplement_rtl,
    WidthConverter_rtl,
)


def register() -> None:
    """Put the operators into FINN's RTL domain; a second call changes nothing.

    Only names that FINN does not have are added, so FINN's own operators stay what they are. From then on
    graphs with these operators can be loaded and executed.
    """
    for operator in OPERATORS:
        if rtl.custom_op.get(operator.__name__) is not operator:
            rtl.register_custom_op(operator)
