// SPDX-License-Identifier: Apache-2.0
// Runs the steps of a generated program: constants, workspaces, threads. The program's tables come before it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "api.h"
#include "layout.h"

namespace cppsim {

// A kernel's call on one workspace.
struct Step {
  const char* node;
  void (*run)(std::byte* memory, const std::byte* constants);
};

// Where a tensor lies from the end of step `step` on (0: from the start), until its last reader is done.
struct Tensor {
  std::size_t step, offset, pixels, channels;
  CppsimType type;
  bool packed;
};

struct Program {
  const char* tag;
  std::size_t workspace_bytes, constants_bytes;
  const Step* steps;
  std::size_t step_count;
  const Tensor* tensors;
  std::size_t tensor_count;
  const std::size_t *input_tensors, *output_tensors;
  const CppsimPort *inputs, *outputs;
  std::size_t input_count, output_count;
};

extern const Program kProgram;

template <class T>
T* at(std::byte* memory, std::size_t offset) {
  return reinterpret_cast<T*>(memory + offset);
}

template <class T>
const T* at(const std::byte* memory, std::size_t offset) {
  return reinterpret_cast<const T*>(memory + offset);
}

constexpr std::size_t kAlignment = 64;

struct Free {
  void operator()(std::byte* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<std::byte, Free>;

inline Memory allocate(std::size_t bytes) {
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(kAlignment, (bytes / kAlignment + 1) * kAlignment));
  if (memory == nullptr) throw std::bad_alloc();
  return Memory(memory);
}

inline std::size_t bytes_of(CppsimType type) { return std::size_t{1} << (type / 2); }

// A frame's input into the workspace: channels last, packed where BINARY.
template <class T>
void import_elements(const T* source, bool planar, const Tensor& tensor, std::byte* memory) {
  for (std::size_t p = 0; p < tensor.pixels; ++p)
    for (std::size_t c = 0; c < tensor.channels; ++c) {
      const T element = source[planar ? c * tensor.pixels + p : p * tensor.channels + c];
      if (!tensor.packed) {
        at<T>(memory, tensor.offset)[p * tensor.channels + c] = element;
        continue;
      }
      Word& word = at<Word>(memory, tensor.offset)[p * words(tensor.channels) + c / kWordBits];
      const Word bit = Word{1} << (c % kWordBits);
      if (c % kWordBits == 0) word = 0;
      if (element != 0) word |= bit;
    }
}

inline void import_frame(const std::byte* source, bool planar, const Tensor& tensor, std::byte* memory) {
  switch (bytes_of(tensor.type)) {
    case 1: return import_elements(at<std::uint8_t>(source, 0), planar, tensor, memory);
    case 2: return import_elements(at<std::uint16_t>(source, 0), planar, tensor, memory);
    default: return import_elements(at<std::uint32_t>(source, 0), planar, tensor, memory);
  }
}

// A tensor out of the workspace, one element a value.
inline void export_frame(const std::byte* memory, const Tensor& tensor, std::byte* target) {
  if (!tensor.packed) {
    std::memcpy(target, memory + tensor.offset, tensor.pixels * tensor.channels * bytes_of(tensor.type));
    return;
  }
  const Word* source = at<Word>(memory, tensor.offset);
  for (std::size_t p = 0; p < tensor.pixels; ++p)
    for (std::size_t c = 0; c < tensor.channels; ++c)
      *target++ = std::byte(source[p * words(tensor.channels) + c / kWordBits] >> (c % kWordBits) & 1);
}

// The file of constants: this header, then the arrays.
struct Header {
  char magic[8];
  char tag[32];
  std::uint64_t bytes, checksum;
};
constexpr char kMagic[8] = {'c', 'p', 'p', 's', 'i', 'm', '0', '1'};

// FNV-1a over 64-bit words: against mistakes, not against intent.
inline std::uint64_t checksum(const std::byte* data, std::size_t bytes) {
  std::uint64_t state = 0xcbf29ce484222325U;
  for (std::size_t i = 0; i + 8 <= bytes; i += 8) state = (state ^ *at<std::uint64_t>(data, i)) * 0x100000001b3U;
  return state;
}

// Constants and workspaces; both are allocated once, the workspaces with the first run that needs them.
class Accelerator {
 public:
  // Returns what is wrong with the file, or nullptr.
  const char* open(const char* path) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path, "rb"), std::fclose);
    Header header;
    if (!file) return "the file cannot be opened";
    if (std::fread(&header, sizeof header, 1, file.get()) != 1 || std::memcmp(header.magic, kMagic, sizeof kMagic) != 0)
      return "this is no file of constants";
    if (std::strncmp(header.tag, kProgram.tag, sizeof header.tag) != 0 || header.bytes != kProgram.constants_bytes)
      return "the constants are another program's";
    constants_ = allocate(header.bytes);
    if (std::fread(constants_.get(), 1, header.bytes, file.get()) != header.bytes ||
        std::fgetc(file.get()) != EOF || checksum(constants_.get(), header.bytes) != header.checksum)
      return "the file of constants is damaged";
    return nullptr;
  }

  int run(const void* const* inputs, void* const* outputs, std::size_t frames, bool planar, unsigned threads,
          CppsimProgress progress) {
    const std::lock_guard<std::mutex> alone(mutex_);
    const std::size_t used = threads < 1 ? 1 : threads < frames ? threads : frames < 1 ? 1 : frames;
    while (workspaces_.size() < used) workspaces_.push_back(allocate(kProgram.workspace_bytes));
    std::atomic<std::size_t> next{0}, done{0};
    std::atomic<bool> stopped{false};
    const auto work = [&](std::byte* memory, bool report) {
      auto last = std::chrono::steady_clock::now();
      for (std::size_t frame; !stopped && (frame = next++) < frames;) {
        run_frame(memory, inputs, planar, frame, nullptr);
        for (std::size_t i = 0; i < kProgram.output_count; ++i) {
          const CppsimPort& port = kProgram.outputs[i];
          export_frame(memory, kProgram.tensors[kProgram.output_tensors[i]],
                       static_cast<std::byte*>(outputs[i]) + frame * port.elements * bytes_of(port.type));
        }
        ++done;
        if (!report || std::chrono::steady_clock::now() - last < std::chrono::milliseconds(50)) continue;
        last = std::chrono::steady_clock::now();
        if (progress(done, frames) != 0) stopped = true;
      }
    };
    std::vector<std::thread> others;
    bool short_of_threads = false;
    try {
      for (std::size_t i = 1; i < used; ++i) others.emplace_back(work, workspaces_[i].get(), false);
    } catch (const std::system_error&) {
      short_of_threads = stopped = true;
    }
    work(workspaces_[0].get(), progress != nullptr);
    for (std::thread& thread : others) thread.join();
    if (short_of_threads) return 2;
    if (stopped) return 1;
    return progress != nullptr && progress(done, frames) != 0 ? 1 : 0;
  }

  void trace(const void* const* inputs, bool planar, void* const* tensors) {
    const std::lock_guard<std::mutex> alone(mutex_);
    if (workspaces_.empty()) workspaces_.push_back(allocate(kProgram.workspace_bytes));
    run_frame(workspaces_[0].get(), inputs, planar, 0, tensors);
  }

 private:
  void run_frame(std::byte* memory, const void* const* inputs, bool planar, std::size_t frame, void* const* tensors) {
    for (std::size_t i = 0; i < kProgram.input_count; ++i) {
      const CppsimPort& port = kProgram.inputs[i];
      import_frame(static_cast<const std::byte*>(inputs[i]) + frame * port.elements * bytes_of(port.type), planar,
                   kProgram.tensors[kProgram.input_tensors[i]], memory);
    }
    for (std::size_t step = 0; step <= kProgram.step_count; ++step) {
      if (step > 0) kProgram.steps[step - 1].run(memory, constants_.get());
      for (std::size_t i = 0; tensors != nullptr && i < kProgram.tensor_count; ++i)
        if (kProgram.tensors[i].step == step && tensors[i] != nullptr)
          export_frame(memory, kProgram.tensors[i], static_cast<std::byte*>(tensors[i]));
    }
  }

  Memory constants_;
  std::vector<Memory> workspaces_;
  std::mutex mutex_;
};

}  // namespace cppsim

std::size_t cppsim_inputs(const CppsimPort** ports) {
  *ports = cppsim::kProgram.inputs;
  return cppsim::kProgram.input_count;
}

std::size_t cppsim_outputs(const CppsimPort** ports) {
  *ports = cppsim::kProgram.outputs;
  return cppsim::kProgram.output_count;
}

std::size_t cppsim_tensors() { return cppsim::kProgram.tensor_count; }

std::size_t cppsim_workspace_bytes() { return cppsim::kProgram.workspace_bytes; }

void* cppsim_open(const char* constants, char* message, std::size_t capacity) try {
  auto accelerator = std::make_unique<cppsim::Accelerator>();
  const char* problem = accelerator->open(constants);
  if (problem == nullptr) return accelerator.release();
  std::snprintf(message, capacity, "%s", problem);
  return nullptr;
} catch (const std::bad_alloc&) {
  std::snprintf(message, capacity, "not enough memory");
  return nullptr;
}

void cppsim_close(void* accelerator) { delete static_cast<cppsim::Accelerator*>(accelerator); }

int cppsim_run(void* accelerator, const void* const* inputs, void* const* outputs, std::size_t frames, int planar,
               unsigned threads, CppsimProgress progress) try {
  return static_cast<cppsim::Accelerator*>(accelerator)
      ->run(inputs, outputs, frames, planar != 0, threads, progress);
} catch (const std::bad_alloc&) {
  return 2;
}

int cppsim_trace(void* accelerator, const void* const* inputs, int planar, void* const* tensors) try {
  static_cast<cppsim::Accelerator*>(accelerator)->trace(inputs, planar != 0, tensors);
  return 0;
} catch (const std::bad_alloc&) {
  return 2;
}
