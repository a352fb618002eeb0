#include "gptq.h"

const s24i_layout s24i_layout_gptq_v2 = {
    .name = "gptq-v2",
    .help = "GPTQ checkpoints, version 2: 2, 4 or 8 bits, zeros as they are",
    .dtypes = {S24_F32},
    .plan = s24i_gptq_plan,
    .pack = s24i_gptq_pack,
    .check = s24i_gptq_check,
    .unpack_row = s24i_gptq_unpack_row,
};
