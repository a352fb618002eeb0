#include "tiles.h"

S24I_TILES_LAYOUT(ri16_int8, "ri16-int8",
                  "dense codes of 8 bits with scales, the row as vector lane", 8, S24I_META_DENSE,
                  false)
