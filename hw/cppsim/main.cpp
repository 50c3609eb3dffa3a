// SPDX-License-Identifier: Apache-2.0
// The stand-alone executable: images from one .npy file, the accelerator's integers into another.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "api.h"

namespace {

const char* const kDescriptors[] = {"|i1", "|u1", "<i2", "<u2", "<i4", "<u4"};

std::size_t bytes_of(CppsimType type) { return std::size_t{1} << (type / 2); }

struct Array {
  std::vector<std::size_t> shape;
  std::vector<char> data;
};

std::string text_of(const std::vector<std::size_t>& shape) {
  std::ostringstream text;
  text << '(';
  for (const std::size_t extent : shape) text << extent << ", ";
  text << ')';
  return text.str();
}

// The value that follows `'key':` in the header's dictionary.
std::string entry(const std::string& header, const std::string& key, char last) {
  const std::size_t name = header.find("'" + key + "':");
  if (name == std::string::npos) throw std::runtime_error("the header has no " + key);
  const std::size_t start = header.find_first_not_of(' ', name + key.size() + 3);
  const std::size_t end = header.find(last, start + 1);
  if (start == std::string::npos || end == std::string::npos) throw std::runtime_error("the header is damaged");
  return header.substr(start, end - start);
}

Array read_npy(const std::string& path, const std::string& descriptor, std::size_t element) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot be opened");
  unsigned char start[12] = {};
  file.read(reinterpret_cast<char*>(start), 10);
  if (!file || std::memcmp(start, "\x93NUMPY", 6) != 0) throw std::runtime_error("is no .npy file");
  std::size_t size = start[8] + 256U * start[9];
  if (start[6] > 1) {
    file.read(reinterpret_cast<char*>(start + 10), 2);
    size += (start[10] + 256U * start[11]) << 16;
  }
  if (size > 65536) throw std::runtime_error("the header is damaged");
  std::string header(size, ' ');
  file.read(header.data(), static_cast<std::streamsize>(size));
  if (entry(header, "descr", ',') != "'" + descriptor + "'")
    throw std::runtime_error("holds " + entry(header, "descr", ',') + " instead of '" + descriptor + "'");
  if (entry(header, "fortran_order", ',') != "False") throw std::runtime_error("is in Fortran order");
  Array array;
  std::size_t count = 1;
  std::istringstream extents(entry(header, "shape", ')').substr(1));
  for (std::size_t extent; extents >> extent; extents.ignore(1)) {
    array.shape.push_back(extent);
    if (extent != 0 && count > SIZE_MAX / element / extent) throw std::runtime_error("is too large");
    count *= extent;
  }
  array.data.assign(std::istreambuf_iterator<char>(file), {});
  if (array.data.size() != count * element) throw std::runtime_error("does not hold as much as its header says");
  return array;
}

void write_npy(const std::string& path, const std::string& descriptor, const Array& array) {
  std::string header =
      "{'descr': '" + descriptor + "', 'fortran_order': False, 'shape': " + text_of(array.shape) + ", }";
  header.resize((header.size() + 10) / 64 * 64 + 64 - 10, ' ');
  header.back() = '\n';
  std::ofstream file(path, std::ios::binary);
  file.write("\x93NUMPY\x01\x00", 8);
  file.put(static_cast<char>(header.size() % 256)).put(static_cast<char>(header.size() / 256));
  file.write(header.data(), static_cast<std::streamsize>(header.size()));
  file.write(array.data.data(), static_cast<std::streamsize>(array.data.size()));
  if (!file.flush()) throw std::runtime_error("cannot be written");
}

// The images' shape: (n, channels, height, width), or (n, features) where the input is no image.
std::vector<std::size_t> images_shape(const CppsimPort& port) {
  std::vector<std::size_t> shape(port.shape + 1, port.shape + port.rank);
  std::rotate(shape.begin(), shape.end() - 1, shape.end());
  return shape;
}

struct Options {
  std::string images, results, constants;
  unsigned threads = std::max(1U, std::thread::hardware_concurrency());
};

Options parse(int count, char** words) {
  Options options;
  std::vector<std::string> files;
  const std::string program = words[0];
  options.constants = program.substr(0, program.find_last_of('/') + 1) + "constants.bin";
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--threads" && i + 1 < count)
      options.threads = static_cast<unsigned>(std::clamp(std::atoi(words[++i]), 1, 256));
    else if (word == "--constants" && i + 1 < count)
      options.constants = words[++i];
    else
      files.push_back(word);
  }
  if (files.size() != 2 || files[0][0] == '-')
    throw std::runtime_error("usage: " + program + " IMAGES.npy RESULTS.npy [--threads N] [--constants FILE]");
  options.images = files[0];
  options.results = files[1];
  return options;
}

void run(const Options& options) {
  const CppsimPort *input, *output;
  if (cppsim_inputs(&input) != 1 || cppsim_outputs(&output) != 1)
    throw std::runtime_error("the program has more than one input or output; only the library can run it");
  char message[200];
  void* const accelerator = cppsim_open(options.constants.c_str(), message, sizeof message);
  if (accelerator == nullptr) throw std::runtime_error(options.constants + ": " + message);
  Array images, results;
  try {
    images = read_npy(options.images, kDescriptors[input->type], bytes_of(input->type));
    const std::vector<std::size_t> expected = images_shape(*input);
    if (images.shape.empty() || std::vector<std::size_t>(images.shape.begin() + 1, images.shape.end()) != expected)
      throw std::runtime_error("has shape " + text_of(images.shape) + "; each image must be " + text_of(expected));
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(options.images + " " + error.what());
  }
  const std::size_t frames = images.shape[0];
  results.shape.assign(output->shape, output->shape + output->rank);
  results.shape[0] = frames;
  results.data.resize(frames * output->elements * bytes_of(output->type));
  const void* const inputs[] = {images.data.data()};
  void* const outputs[] = {results.data.data()};
  const auto began = std::chrono::steady_clock::now();
  if (cppsim_run(accelerator, inputs, outputs, frames, 1, options.threads, nullptr) != 0)
    throw std::runtime_error("not enough memory or threads");
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - began;
  cppsim_close(accelerator);
  try {
    write_npy(options.results, kDescriptors[output->type], results);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(options.results + " " + error.what());
  }
  std::printf("%zu images in %.3f s, %.0f images/s\n", frames, seconds.count(), frames / seconds.count());
}

}  // namespace

int main(int count, char** words) {
  try {
    run(parse(count, words));
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
}
