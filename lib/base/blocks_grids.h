/* The lattice points that codes of the I-quants name, constants of the GGUF format. */
#ifndef S24I_BLOCKS_GRIDS_H
#define S24I_BLOCKS_GRIDS_H
#include <stdint.h>

/* Eight places of two bits, the first lowest: which of three values the weight has. */
extern const uint16_t s24i_grid_iq1[2048];
extern const uint16_t s24i_grid_iq2_xxs[256];
extern const uint16_t s24i_grid_iq2_xs[512];
extern const uint16_t s24i_grid_iq2_s[1024];
/* Four places of four bits: which of eight values. */
extern const uint16_t s24i_grid_iq3_xxs[256];
extern const uint16_t s24i_grid_iq3_s[512];

#endif
