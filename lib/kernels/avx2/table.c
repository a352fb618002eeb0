#include "kernels/avx2/table.h"

void s24i_kernels_avx2(s24i_kernels *table)
{
    table->isa = "avx2";
    table->select_24 = s24i_avx2_select_24;
    table->select_nm = s24i_avx2_select_nm;
    table->score = s24i_avx2_score;
    table->apply_mask = s24i_avx2_apply_mask;
    table->first_nonfinite = s24i_avx2_first_nonfinite;
    table->sum_squares = s24i_avx2_sum_squares;
    table->dot_rows = s24i_avx2_dot_rows;
    table->dot = s24i_avx2_dot;
    table->dot_f64 = s24i_avx2_dot_f64;
    table->add_squares = s24i_avx2_add_squares;
    table->add_f32_to_f64 = s24i_avx2_add_f32_to_f64;
    table->difference_f64 = s24i_avx2_difference_f64;
    table->multiply = s24i_avx2_multiply;
    table->f16_to_f32 = s24i_avx2_f16_to_f32;
    table->bf16_to_f32 = s24i_avx2_bf16_to_f32;
    table->f32_to_f16 = s24i_avx2_f32_to_f16;
    table->f32_to_bf16 = s24i_avx2_f32_to_bf16;
    table->cg_step = s24i_avx2_cg_step;
    table->cg_direction = s24i_avx2_cg_direction;
    table->admm_gap = s24i_avx2_admm_gap;
    table->admm_move = s24i_avx2_admm_move;
    table->split_move = s24i_avx2_split_move;
    table->split_rest = s24i_avx2_split_rest;
    table->transpose = s24i_avx2_transpose;
    table->sweep_block = s24i_avx2_sweep_block;
    table->subtract_scaled = s24i_avx2_subtract_scaled;
    table->descend_row = s24i_avx2_descend_row;
    table->grid_errors = s24i_avx2_grid_errors;
    table->prox_2m_f32 = s24i_avx2_prox_2m_f32;
    table->prox_1m_f32 = s24i_avx2_prox_1m_f32;
    table->prox_firm_f32 = s24i_avx2_prox_firm_f32;
    table->prox_2m_f64 = s24i_avx2_prox_2m_f64;
    table->prox_1m_f64 = s24i_avx2_prox_1m_f64;
    table->prox_firm_f64 = s24i_avx2_prox_firm_f64;
}
