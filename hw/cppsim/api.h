// SPDX-License-Identifier: Apache-2.0
// The compiled program's interface: what the shared library exports and the executable is linked with.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

enum CppsimType : std::uint32_t { kInt8, kUint8, kInt16, kUint16, kInt32, kUint32 };

// A stream of the partition's border: its shape with the batch of 1, and its elements' type and values.
struct CppsimPort {
  const char* name;
  std::uint32_t rank;
  std::size_t shape[8];
  std::size_t elements;
  CppsimType type;
  std::int64_t lowest, highest;
};

// Called between frames with how many are done; anything but 0 stops the run.
using CppsimProgress = int (*)(std::size_t done, std::size_t frames);

std::size_t cppsim_inputs(const CppsimPort** ports);
std::size_t cppsim_outputs(const CppsimPort** ports);
std::size_t cppsim_tensors();
// Bytes that each thread works in.
std::size_t cppsim_workspace_bytes();

// Reads the file of constants. Returns nullptr and a message if it is not this program's.
void* cppsim_open(const char* constants, char* message, std::size_t capacity);
void cppsim_close(void* accelerator);

// Runs `frames` frames: inputs[i] and outputs[i] hold all frames of port i back to back. `planar` says that the
// inputs are channels first instead of last. Each thread keeps its workspace from run to run. Returns 0, or 1 if
// progress stopped it, or 2 if memory or threads are short.
int cppsim_run(void* accelerator, const void* const* inputs, void* const* outputs, std::size_t frames, int planar,
               unsigned threads, CppsimProgress progress);

// Runs one frame and copies tensor i, one element a value, to tensors[i] where that is not nullptr. Returns as above.
int cppsim_trace(void* accelerator, const void* const* inputs, int planar, void* const* tensors);
}
