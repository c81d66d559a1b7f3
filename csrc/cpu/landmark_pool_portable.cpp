// Landmark pooling in the vector instructions that every processor of the architecture has.
#define SKETCHFAST_POOL_PATH pool_portable
#define SKETCHFAST_POOL_TARGET
#define SKETCHFAST_POOL_BYTES 16
#include "landmark_pool_simd.h"
