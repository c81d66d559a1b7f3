// Soft-weighted loss in the vector instructions that every processor of the architecture has.
#define SKETCHFAST_LOSS_PATH loss_portable
#define SKETCHFAST_LOSS_TARGET
#define SKETCHFAST_LOSS_BYTES 16
#include "soft_weighted_loss_simd.h"
