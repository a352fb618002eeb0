#include "tiles.h"

S24I_TILES_LAYOUT(ri16_int4_zeros, "ri16-int4-zeros", "ri16-int4 with zero points", 4,
                  S24I_META_DENSE, true)
