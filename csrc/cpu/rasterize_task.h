// What rasterize.cpp hands to a path, and the memory a thread keeps from image to image. Internal to csrc/cpu.
#pragma once

#include <cstdint>
#include <vector>

#include "../math/rasterize.h"

namespace sketchfast::cpu {

struct RasterMemory {
  std::vector<float> places;    // [length, 2], on the canvas
  std::vector<int32_t> pixels;  // [length, 2]
  std::vector<uint64_t> lines;  // bits of the lines, with the pen's reach around the canvas
  std::vector<uint64_t> ink;    // bits of what the pen leaves
};

// One image of `length` points, already on the canvas (memory.places).
using RasterKernel = void (*)(const raster::Canvas& canvas, const uint8_t* lifts, int64_t length, RasterMemory& memory,
                              uint8_t* image);

RasterKernel raster_kernel_portable();
RasterKernel raster_kernel_avx2();  // nullptr where it was not compiled

}  // namespace sketchfast::cpu
