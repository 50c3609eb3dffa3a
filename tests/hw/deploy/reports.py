# SPDX-License-Identifier: Apache-2.0
"""Parts of Vivado's reports as it writes them; the figures are made up."""

TIMING = """\
Copyright 1986-2022 Xilinx, Inc. All Rights Reserved.
------------------------------------------------------------------------------------------------
| Tool Version      : Vivado v.2022.2 (lin64) Build 3671981 Fri Oct 14 04:59:54 MDT 2022
| Command           : report_timing_summary -max_paths 10 -file top_wrapper_timing_summary_routed.rpt
| Design            : top_wrapper
------------------------------------------------------------------------------------------------

Timing Summary Report

------------------------------------------------------------------------------------------------
| Design Timing Summary
| ---------------------
------------------------------------------------------------------------------------------------

    WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints      WHS(ns)      THS(ns)  THS Failing Endpoints  THS Total Endpoints     WPWS(ns)     TPWS(ns)  TPWS Failing Endpoints  TPWS Total Endpoints  
    -------      -------  ---------------------  -------------------      -------      -------  ---------------------  -------------------     --------     --------  ----------------------  --------------------  
      1.284        0.000                      0                61234        0.015        0.000                      0                61234        3.750        0.000                       0                 24310  


All user specified timing constraints are met.


------------------------------------------------------------------------------------------------
| Timing Details
| --------------
------------------------------------------------------------------------------------------------

Max Delay Paths
--------------------------------------------------------------------------------------
Slack (MET) :             1.284ns  (required time - arrival time)
  Source:                 top_i/StreamingDataflowPartition_1/inst/StreamingDataflowPartition_1_XnorMVAU_rtl_1/inst/core/a_reg[3]/C
                            (rising edge-triggered cell FDRE clocked by clk_fpga_0  {rise@0.000ns fall@5.000ns period=10.000ns})
  Destination:            top_i/StreamingDataflowPartition_1/inst/StreamingDataflowPartition_1_XnorMVAU_rtl_1/inst/core/b_reg[0]/CE
                            (rising edge-triggered cell FDRE clocked by clk_fpga_0  {rise@0.000ns fall@5.000ns period=10.000ns})
  Path Group:             clk_fpga_0
  Path Type:              Setup (Max at Slow Process Corner)
  Requirement:            10.000ns  (clk_fpga_0 rise@10.000ns - clk_fpga_0 rise@0.000ns)
  Data Path Delay:        8.480ns  (logic 2.120ns (25.000%)  route 6.360ns (75.000%))
  Logic Levels:           6  (CARRY4=2 LUT4=1 LUT6=3)

Slack (MET) :             1.501ns  (required time - arrival time)
  Source:                 top_i/zynq_ps/inst/a_reg/C
                            (rising edge-triggered cell FDRE clocked by clk_fpga_0  {rise@0.000ns fall@5.000ns period=10.000ns})
  Destination:            top_i/axi_interconnect_0/inst/b_reg/D
                            (rising edge-triggered cell FDRE clocked by clk_fpga_0  {rise@0.000ns fall@5.000ns period=10.000ns})
  Path Group:             clk_fpga_0
  Path Type:              Setup (Max at Slow Process Corner)
  Requirement:            10.000ns  (clk_fpga_0 rise@10.000ns - clk_fpga_0 rise@0.000ns)
  Data Path Delay:        8.263ns  (logic 1.000ns (12.102%)  route 7.263ns (87.898%))
  Logic Levels:           2  (LUT6=2)


Min Delay Paths
--------------------------------------------------------------------------------------
Slack (MET) :             0.015ns  (arrival time - required time)
  Source:                 top_i/zynq_ps/inst/c_reg/C
                            (rising edge-triggered cell FDRE clocked by clk_fpga_0  {rise@0.000ns fall@5.000ns period=10.000ns})
  Destination:            top_i/zynq_ps/inst/d_reg/D
                            (rising edge-triggered cell FDRE clocked by clk_fpga_0  {rise@0.000ns fall@5.000ns period=10.000ns})
  Path Group:             clk_fpga_0
  Path Type:              Hold (Min at Fast Process Corner)
  Requirement:            0.000ns  (clk_fpga_0 rise@0.000ns - clk_fpga_0 rise@0.000ns)
  Data Path Delay:        0.300ns  (logic 0.100ns (33.333%)  route 0.200ns (66.667%))
"""  # noqa: E501, W291
UTILIZATION_7 = """\
1. Slice Logic
--------------

+----------------------------+-------+-------+------------+-----------+-------+
|          Site Type         |  Used | Fixed | Prohibited | Available | Util% |
+----------------------------+-------+-------+------------+-----------+-------+
| Slice LUTs                 | 12345 |     0 |          0 |     53200 | 23.20 |
|   LUT as Logic             | 11000 |     0 |          0 |     53200 | 20.68 |
|   LUT as Memory            |  1345 |     0 |          0 |     17400 |  7.73 |
| Slice Registers            | 20202 |     0 |          0 |    106400 | 18.99 |
|   Register as Flip Flop    | 20202 |     0 |          0 |    106400 | 18.99 |
+----------------------------+-------+-------+------------+-----------+-------+

3. Memory
---------

+-------------------+------+-------+------------+-----------+-------+
|     Site Type     | Used | Fixed | Prohibited | Available | Util% |
+-------------------+------+-------+------------+-----------+-------+
| Block RAM Tile    | 10.5 |     0 |          0 |       140 |  7.50 |
|   RAMB36/FIFO*    |    8 |     0 |          0 |       140 |  5.71 |
|   RAMB18          |    5 |     0 |          0 |       280 |  1.79 |
+-------------------+------+-------+------------+-----------+-------+

4. DSP
------

+----------------+------+-------+------------+-----------+-------+
|    Site Type   | Used | Fixed | Prohibited | Available | Util% |
+----------------+------+-------+------------+-----------+-------+
| DSPs           |   41 |     0 |          0 |       220 | 18.64 |
+----------------+------+-------+------------+-----------+-------+
"""
UTILIZATION_PLUS = """\
1. CLB Logic
------------

+----------------------------+--------+-------+------------+-----------+-------+
|          Site Type         |  Used  | Fixed | Prohibited | Available | Util% |
+----------------------------+--------+-------+------------+-----------+-------+
| CLB LUTs                   | 133100 |  1200 |       1000 |   1728000 |  7.70 |
|   LUT as Logic             | 120000 |  1000 |       1000 |   1728000 |  6.94 |
| CLB Registers              | 200100 |     0 |          0 |   3456000 |  5.79 |
| CARRY8                     |   3000 |     0 |          0 |    216000 |  1.39 |
+----------------------------+--------+-------+------------+-----------+-------+

3. BLOCKRAM
-----------

+-------------------+------+-------+------------+-----------+-------+
|     Site Type     | Used | Fixed | Prohibited | Available | Util% |
+-------------------+------+-------+------------+-----------+-------+
| Block RAM Tile    |  205 |     0 |          0 |      2688 |  7.63 |
|   RAMB36/FIFO*    |  205 |   100 |          0 |      2688 |  7.63 |
| URAM              |   12 |     0 |          0 |      1280 |  0.94 |
+-------------------+------+-------+------------+-----------+-------+

4. ARITHMETIC
-------------

+----------------+------+-------+------------+-----------+-------+
|    Site Type   | Used | Fixed | Prohibited | Available | Util% |
+----------------+------+-------+------------+-----------+-------+
| DSPs           |   47 |     0 |          0 |     12288 |  0.38 |
|   DSP48E2 only |   47 |       |            |           |       |
+----------------+------+-------+------------+-----------+-------+
"""
