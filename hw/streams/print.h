// SPDX-License-Identifier: Apache-2.0
// What Verilator's runtime prints goes to the harness (VL_PRINTF).
#pragma once
void ir2_printf(const char* format, ...) __attribute__((format(printf, 1, 2)));
