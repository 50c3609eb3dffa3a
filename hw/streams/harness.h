// SPDX-License-Identifier: Apache-2.0
// The border between the stimulus loop (harness.cpp, compiled once) and one Verilated design (a few generated
// lines in each library).
#pragma once

#include <memory>
#include <vector>

class VerilatedContext;

// One top-level port. `data` is the Verilator storage: little-endian, rounded up to 1, 2, 4, 8 or n*4 bytes.
struct Port {
    const char* name;
    unsigned width;
    bool input;
    void* data;
};

class Design {
public:
    virtual ~Design() = default;
    virtual void eval() = 0;
    virtual void final() = 0;
    virtual std::vector<Port> ports() = 0;
};

// Defined by the generated part of each library.
std::unique_ptr<Design> make_design(VerilatedContext* context);
