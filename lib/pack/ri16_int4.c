#include "tiles.h"

S24I_TILES_LAYOUT(ri16_int4, "ri16-int4",
                  "dense codes of 4 bits with scales, the row as vector lane", 4, S24I_META_DENSE,
                  false)
