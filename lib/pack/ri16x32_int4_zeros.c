#include "tiles.h"

S24I_TILES_LAYOUT(ri16x32_int4_zeros, "ri16x32-int4-zeros", "ri16x32-int4 with zero points", 4,
                  S24I_META_INDICES, true)
