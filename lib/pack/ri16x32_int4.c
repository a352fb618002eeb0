#include "tiles.h"

S24I_TILES_LAYOUT(ri16x32_int4, "ri16x32-int4",
                  "2:4 codes of 4 bits with scales, the row as vector lane", 4, S24I_META_INDICES,
                  false)
