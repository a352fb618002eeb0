#include "tiles.h"

S24I_TILES_LAYOUT(ri16x32_int8, "ri16x32-int8",
                  "2:4 codes of 8 bits with scales, the row as vector lane", 8, S24I_META_INDICES,
                  false)
