/* The block of Llama, Mistral, Qwen2 and Qwen3: attention over q, k, v, then a gated MLP, each
 * added to the residual stream. */
#include "../parts.h"
#include "../stages.h"

static s24_status norm(const s24m_stream *c, const s24m_stage *s, float *x)
{
    return s24m_norm(c->model, c->block->norm[s->gain - S24M_LINEARS], c->h,
                     c->sequences * c->length, x);
}

static s24_status add(const s24m_stream *c, float *next)
{
    (void)next;
    return s24m_add(c->model, c->out[0], c->sequences * c->length, c->h);
}

static s24_status attention(const s24m_stream *c, float *next)
{
    return s24m_attention(c->model, c->block, c->out[0], c->out[1], c->out[2], c->sequences,
                          c->length, next);
}

/* Masked pairs count for nothing. */
static double attention_flops(const s24m_config *c, int64_t sequences, int64_t length)
{
    double pairs = (double)length * (double)(length + 1) / 2 * (double)sequences;
    return 4 * pairs * (double)(c->heads * c->head_dim);
}

static s24_status gate(const s24m_stream *c, float *next)
{
    return s24m_gate(c->model, c->out[0], c->out[1], c->sequences * c->length, next);
}

const s24m_stage s24m_stages_llama[] = {
    {.name = "q, k, v",
     .count = 3,
     .matrices = {S24M_Q, S24M_K, S24M_V},
     .input = norm,
     .gain = S24M_ATTENTION_NORM,
     .finish = attention,
     .apart = true,
     .flops = attention_flops},
    {.name = "o", .count = 1, .matrices = {S24M_O}, .finish = add, .adds = true},
    {.name = "gate, up",
     .count = 2,
     .matrices = {S24M_GATE, S24M_UP},
     .input = norm,
     .gain = S24M_MLP_NORM,
     .finish = gate},
    {.name = "down", .count = 1, .matrices = {S24M_DOWN}, .finish = add, .adds = true},
    {0},
};
