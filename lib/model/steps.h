/* What stages do before and after their products. A program refers to these. */
#ifndef S24M_STEPS_H
#define S24M_STEPS_H
#include "program.h"

/* ---- Inputs ---- */

/* h, normalised if the stage has a gain. */
s24_status s24m_step_norm(const s24m_stream *c, const s24m_stage *s, float *x);
/* The same; then the router chooses each token's experts. */
s24_status s24m_step_route(const s24m_stream *c, const s24m_stage *s, float *x);

/* ---- Endings ---- */

/* Norms of q and k, rotation, causal softmax attention over what the tensors of q, k, v gave. */
s24_status s24m_step_attention(const s24m_stream *c, const s24m_stage *s, float *next);
/* Convolution, gated delta rule, norm and switch. */
s24_status s24m_step_delta(const s24m_stream *c, const s24m_stage *s, float *next);
/* act(gate) * up, or act(up). */
s24_status s24m_step_gate(const s24m_stream *c, const s24m_stage *s, float *next);
/* h += y, or what becomes of y first. */
s24_status s24m_step_add(const s24m_stream *c, const s24m_stage *s, float *next);
/* gate and up of each token's experts, and of those for all: the input of experts_out. */
s24_status s24m_step_experts_in(const s24m_stream *c, const s24m_stage *s, float *next);
/* down of each, their weighted sum, and s24m_step_add(). */
s24_status s24m_step_experts_out(const s24m_stream *c, const s24m_stage *s, float *next);

/* The sum alone, in the stage's first output. */
s24_status s24m_experts_sum(const s24m_stream *c, const s24m_stage *s);

/* ---- Operations beside the products ---- */

double s24m_flops_products(const s24m_model *model, const s24m_program *p, const s24m_stage *s,
                           int64_t sequences, int64_t length);
double s24m_flops_attention(const s24m_model *model, const s24m_program *p, const s24m_stage *s,
                            int64_t sequences, int64_t length);
double s24m_flops_delta(const s24m_model *model, const s24m_program *p, const s24m_stage *s,
                        int64_t sequences, int64_t length);
double s24m_flops_experts(const s24m_model *model, const s24m_program *p, const s24m_stage *s,
                          int64_t sequences, int64_t length);

/* ---- Parts of them ---- */

/* x[i] = act(g[i]) * u[i]; u NULL: act(g[i]). */
void s24m_activate(s24m_activation kind, const float *g, const float *u, int64_t count, float *x);
/* The norm of a row; gain and shift may be NULL, x may be h. */
void s24m_norm_row(s24m_norm_kind kind, const float *gain, const float *shift, double eps,
                   const float *h, int64_t size, float *x);
/* Of `count` rows of `size` elements. */
s24_status s24m_norm(const s24m_model *model, const float *gain, const float *shift, const float *h,
                     int64_t count, int64_t size, float *x);
/* y (count, outputs) = x (count, inputs) W^T + bias. */
s24_status s24m_project(const s24m_model *model, const s24m_linear *linear, const float *x,
                        int64_t count, float *y);
/* Width of a stage's input that experts_in leaves: slots, those for all, the route. */
int64_t s24m_experts_width(const s24m_experts *e);

#endif
