#include "tiles.h"

S24I_TILES_LAYOUT(ri16x32_int4_p6, "ri16x32-int4-p6",
                  "ri16x32-int4 with the places of two groups in 6 bits", 4, S24I_META_PAIRS, false)
