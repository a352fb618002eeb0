#!/usr/bin/env python3
"""Make lib/base/blocks_grids.c, the lattices of GGUF's I-quants, from the tables of the gguf package (needed: gguf, numpy).

    python3 make_grids.py > lib/base/blocks_grids.c"""

from gguf import quants

TABLES = (("iq1", "IQ1_S", 2), ("iq2_xxs", "IQ2_XXS", 2), ("iq2_xs", "IQ2_XS", 2), ("iq2_s", "IQ2_S", 2),
          ("iq3_xxs", "IQ3_XXS", 4), ("iq3_s", "IQ3_S", 4))


def points(name, bits):
    """Each point as one number: a weight's place among the values of the type takes so many bits."""
    table = getattr(quants, name)
    table.init_grid()
    places = {value: place for place, value in enumerate(table.grid_map)}
    for row in table.grid.reshape(table.grid_shape):
        yield sum(places[int(value)] << bits * k for k, value in enumerate(row))


def main():
    print("/* Made by tests/io/make_grids.py from the tables of the gguf package. */")
    print('#include "blocks_grids.h"')
    for name, source, bits in TABLES:
        words = [f"0x{point:04x}," for point in points(source, bits)]
        print(f"\nconst uint16_t s24i_grid_{name}[{len(words)}] = {{")
        for i in range(0, len(words), 12):
            print("    " + " ".join(words[i:i + 12]))
        print("};")


if __name__ == "__main__":
    main()
