/*
 * GPTQ's checkpoints: "qweight" int32, (cols b / 32, rows), code j of an output in bits b (j mod
 * 32 / b) of word j b / 32; "qzeros" int32, (groups, rows b / 32), in the same way along the
 * outputs; "scales" f16, (groups, rows); "g_idx" int32, the group of each column. b is 2, 4 or 8,
 * the least that holds the grid's bits. Version 1 stores zeros less 1, version 2 as they are.
 */
#ifndef S24I_PACK_GPTQ_H
#define S24I_PACK_GPTQ_H
#include "codes.h"

/* The number of a packing that says by how much stored zeros are too small: set before plan(). */
enum { S24I_GPTQ_LESS = 2 };

/* For a layout's row in the table. */
s24_status s24i_gptq_plan(s24i_packing *p, const s24i_pack_source *source);
s24_status s24i_gptq_pack(const s24i_packing *p, const s24i_pack_source *source,
                          const s24i_pack_tools *tools);
s24_status s24i_gptq_check(const s24i_packing *p, const s24i_pack_tools *tools);
void s24i_gptq_unpack_row(const s24i_packing *p, int64_t row, void *out, void *scratch);

#endif
