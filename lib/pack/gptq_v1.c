#include "gptq.h"

static s24_status plan(s24i_packing *p, const s24i_pack_source *source)
{
    p->own[S24I_GPTQ_LESS] = 1;
    return s24i_gptq_plan(p, source);
}

const s24i_layout s24i_layout_gptq_v1 = {
    .name = "gptq-v1",
    .help = "GPTQ checkpoints, version 1: 2, 4 or 8 bits, zeros less 1",
    .dtypes = {S24_F32},
    .plan = plan,
    .pack = s24i_gptq_pack,
    .check = s24i_gptq_check,
    .unpack_row = s24i_gptq_unpack_row,
};
