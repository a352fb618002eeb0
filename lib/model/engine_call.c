/* s24_model_pack(): what a host asks, checked; and what became of it. */
#include "exponential.h"
#include "handle.h"
#include "option_text.h"
#include "packed.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TOKENS = 65536 };

static bool set_type(const char *key, const char *value, s24m_as *as)
{
    for (int i = 0; i < S24M_AS_TYPES; i++)
        if (!strcmp(value, s24m_as_names[i])) {
            *as = (s24m_as)i;
            return true;
        }
    return s24m_wrong(S24_E_OPTION,
                      "s24_model_pack: %s=%.40s: expected stored, f32, bf16, f16, int8 or int4",
                      key, value);
}

static bool set(void *arg, const char *key, const char *value)
{
    s24m_engine_plan *plan = arg;
    char *end;
    if (!strcmp(key, "tokens")) {
        plan->tokens = strtoll(value, &end, 10);
        return (*value >= '0' && *value <= '9' && !*end && plan->tokens >= 1 &&
                plan->tokens <= MOST_TOKENS) ||
               s24m_wrong(S24_E_OPTION, "s24_model_pack: tokens=%.40s: expected 1 .. %d", value,
                          (int)MOST_TOKENS);
    }
    if (!strcmp(key, "head"))
        return set_type(key, value, &plan->head);
    if (!strcmp(key, "weights"))
        return set_type(key, value, &plan->as);
    return s24m_wrong(S24_E_OPTION,
                      "s24_model_pack: no option %.40s; there are: weights, head, tokens", key);
}

static bool pack(s24_model *model, const char *options)
{
    s24m_engine_plan plan = {S24M_AS_STORED, S24M_AS_STORED, S24M_PANEL, &model->watch};
    s24m_engine *made = NULL;
    bool done = s24m_option_text(options, set, &plan) &&
                s24m_done(s24m_head_check(model->network)) &&
                s24m_engine_open(model->network, &plan, &made);
    if (!done)
        return false;
    s24m_engine_close(model->engine);
    model->engine = made;
    return true;
}

s24_status s24_model_pack(s24_model *model, const char *options)
{
    s24_status status = s24m_enter(model, __func__);
    if (status)
        return status;
    bool done = pack(model, options);
    s24m_watch_begin(&model->watch);
    s24m_leave(model);
    return s24m_status(done);
}

s24_status s24_model_packed(const s24_model *model, int64_t index, const char **layout,
                            const char **kernel, const char **isa, int64_t *bytes)
{
    s24_status status = s24m_check_model(model, __func__);
    if (status)
        return status;
    if (!model->engine)
        return s24m_fail(S24_E_STATE, "%s: the model is not packed: call s24_model_pack() first",
                         __func__);
    int64_t matrices = model->network->matrix_count;
    if (index < 0 || index > matrices)
        return s24m_fail(S24_E_ARG,
                         "%s: matrix %" PRId64 ", but they are 0 .. %" PRId64
                         ", and the output head is %" PRId64,
                         __func__, index, matrices - 1, matrices);
    const s24m_head *head = &model->engine->head;
    const s24m_linear *linear =
        index < matrices
            ? model->engine->blocks[model->places[index].layer].linear + model->places[index].which
            : NULL;
    const s24_packed *packed = linear ? linear->packed : head->packed;
    const s24_product *product = linear ? linear->product : head->product;
    if (bytes)
        *bytes = (int64_t)s24m_packed_bytes(packed);
    status = s24_packed_info(packed, layout, NULL, NULL, NULL);
    return status ? status : s24_product_info(product, kernel, isa, NULL, NULL);
}

/* ---- What memory gives ---- */

enum { PIECE = 1 << 20, PIECES = 512, WORDS = PIECE / 8, TURNS = 5 };

typedef struct reading {
    const uint64_t *data;
    uint64_t sums[PIECES];
} reading;

S24M_VECTOR static uint64_t sum_words(const uint64_t *words)
{
    enum { LANES = 32 };
    uint64_t sum[LANES] = {0}, all = 0;
    for (int64_t i = 0; i < WORDS; i += LANES)
        for (int l = 0; l < LANES; l++)
            sum[l] += words[i + l];
    for (int l = 0; l < LANES; l++)
        all += sum[l];
    return all;
}

static void read_piece(void *arg, int64_t piece, int32_t worker)
{
    reading *r = arg;
    (void)worker;
    r->sums[piece] = sum_words(r->data + piece * WORDS);
}

bool s24m_read_rate(s24_ctx *ctx, double *rate)
{
    reading *r = s24m_have(calloc(1, sizeof *r));
    void *data = r ? s24m_have(malloc((size_t)PIECE * PIECES)) : NULL;
    bool done = data != NULL;
    *rate = 0;
    if (done) {
        memset(data, 1, (size_t)PIECE * PIECES);
        r->data = data;
    }
    for (int i = 0; done && i < TURNS; i++) {
        double start = s24_seconds();
        done = s24m_good(s24_ctx_parallel(ctx, read_piece, r, PIECES), "reading memory");
        *rate = fmax(*rate, (double)PIECE * PIECES / (s24_seconds() - start));
    }
    free(data);
    free(r);
    return done;
}
