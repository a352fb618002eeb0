/* Tests lib/model/backward*.c, compiled in double (S24M_DOUBLE): every gradient against central
 * differences of the same step written out, with odd sizes, and what must be 0. */
#include "differences.h"

/* ---- Linear ---- */

enum { COUNT = 5, OUTPUTS = 7, INPUTS = 3 };

typedef struct linear_case {
    double *w, *x, *dy, *bias;
} linear_case;

static double linear_loss(const void *arg)
{
    const linear_case *c = arg;
    double sum = 0;
    for (int r = 0; r < COUNT; r++)
        for (int o = 0; o < OUTPUTS; o++)
            sum += c->dy[r * OUTPUTS + o] *
                   (c->bias[o] + inner(c->w + o * INPUTS, c->x + r * INPUTS, INPUTS));
    return sum;
}

START_TEST(linear)
{
    linear_case c = {numbers(OUTPUTS * INPUTS), numbers(COUNT * INPUTS), numbers(COUNT * OUTPUTS),
                     numbers(OUTPUTS)};
    double *dw = zeros(OUTPUTS * INPUTS), *dx = zeros(COUNT * INPUTS), *db = zeros(OUTPUTS);
    s24m_linear_back b = {s24m_array_of(c.w, OUTPUTS, INPUTS), c.x, c.dy, COUNT, dx, dw, db};
    ok(s24m_back_linear(ctx, &b));
    compare("weights", linear_loss, &c, c.w, dw, OUTPUTS * INPUTS);
    compare("inputs", linear_loss, &c, c.x, dx, COUNT * INPUTS);
    compare("bias", linear_loss, &c, c.bias, db, OUTPUTS);
    double once = dw[4];
    b.dx = b.bias = NULL;
    ok(s24m_back_linear(ctx, &b)); /* they are added to */
    ck_assert_double_eq_tol(dw[4], 2 * once, 1e-12);
    free(c.w), free(c.x), free(c.dy), free(c.bias), free(dw), free(dx), free(db);
}
END_TEST

/* ---- Norm ---- */

enum { SIZE = 9 };

typedef struct norm_case {
    double *gain, *x, *dy, *shift; /* gain, shift NULL: none */
    bool centred;
    int gains;
} norm_case;

static double norm_loss(const void *arg)
{
    const norm_case *c = arg;
    double sum = 0;
    for (int r = 0; r < COUNT; r++) {
        double row[SIZE], mean = 0;
        for (int i = 0; c->centred && i < SIZE; i++)
            mean += c->x[r * SIZE + i] / SIZE;
        for (int i = 0; i < SIZE; i++)
            row[i] = c->x[r * SIZE + i] - mean;
        double scale = 1 / sqrt(inner(row, row, SIZE) / SIZE + 1e-5);
        const double *gain = c->gain ? c->gain + r % c->gains * SIZE : NULL;
        for (int i = 0; i < SIZE; i++)
            sum += c->dy[r * SIZE + i] *
                   (row[i] * scale * (gain ? gain[i] : 1) + (c->shift ? c->shift[i] : 0));
    }
    return sum;
}

static const struct {
    int gains;
    bool shift, centred;
} norms[] = {{1, false, false}, {1, true, true},   {0, false, true},
             {0, false, false}, {2, false, false}, {3, false, true}};

START_TEST(norm)
{
    norm_case c = {.x = numbers(COUNT * SIZE), .dy = numbers(COUNT * SIZE)};
    int gains = norms[_i].gains;
    double *dx = zeros(COUNT * SIZE), *dgain = zeros(gains * SIZE), *dshift = zeros(SIZE);
    c.gain = gains ? numbers(gains * SIZE) : NULL;
    c.gains = gains;
    c.shift = norms[_i].shift ? numbers(SIZE) : NULL;
    c.centred = norms[_i].centred;
    s24m_norm_back b = {.gain = c.gain,
                        .gains = gains > 1 ? gains : 0,
                        .x = c.x,
                        .dy = c.dy,
                        .count = COUNT,
                        .size = SIZE,
                        .eps = 1e-5,
                        .dx = dx,
                        .dgain = c.gain ? dgain : NULL,
                        .dshift = c.shift ? dshift : NULL,
                        .centred = c.centred};
    ok(s24m_back_norm(ctx, &b));
    compare("inputs", norm_loss, &c, c.x, dx, COUNT * SIZE);
    if (c.gain)
        compare("gain", norm_loss, &c, c.gain, dgain, gains * SIZE);
    if (c.shift)
        compare("shift", norm_loss, &c, c.shift, dshift, SIZE);
    free(c.gain), free(c.shift), free(c.x), free(c.dy), free(dx), free(dgain), free(dshift);
}
END_TEST

/* ---- Rotation and attention ---- */

typedef struct attention_case {
    s24m_heads of;
    double *q, *k, *v, *dout;
} attention_case;

static double dot_heads(const attention_case *c, const double *a, int64_t at, const double *b,
                        int64_t bt)
{
    return inner(a + at * c->of.size, b + bt * c->of.size, c->of.size);
}

/* One query of one head: sum over the keys it sees. */
static double attend(const attention_case *c, int64_t s, int64_t t, int64_t h)
{
    const s24m_heads *of = &c->of;
    int64_t token = s * of->length + t, shared = h * of->kv_heads / of->heads;
    double total = of->sinks ? exp(of->sinks[h]) : 0, sum = 0;
    for (int64_t i = 0; i < (of->all ? of->length : t + 1); i++) {
        if (t - i >= of->window)
            continue;
        int64_t key = (s * of->length + i) * of->kv_heads + shared;
        double z = dot_heads(c, c->q, token * of->heads + h, c->k, key) * of->scale;
        z = of->soft_cap > 0 ? of->soft_cap * tanh(z / of->soft_cap) : z;
        double p = exp(z + (of->rises ? of->rises[h * of->length + i] : 0));
        total += p;
        sum += p * dot_heads(c, c->dout, token * of->heads + h, c->v, key);
    }
    return sum / total;
}

static double attention_loss(const void *arg)
{
    const attention_case *c = arg;
    double sum = 0;
    for (int64_t s = 0; s < c->of.sequences; s++)
        for (int64_t t = 0; t < c->of.length; t++)
            for (int64_t h = 0; h < c->of.heads; h++)
                sum += attend(c, s, t, h);
    return sum;
}

/* Sequences, tokens, heads, key heads, size, window, scale, whether all are seen, cap; two are
 * longer than a block of queries. */
static const s24m_heads shapes[] = {
    {2, 11, 6, 2, 4, INT64_MAX, 0.5},
    {1, 7, 3, 3, 5, INT64_MAX, 0.4},
    {2, 9, 4, 1, 3, 4, 0.6},
    {1, 1, 2, 1, 3, INT64_MAX, 1},
    {1, 5, 2, 2, 3, 1, 1},
    {1, 133, 1, 1, 1, 129, 1},
    {2, 9, 4, 2, 3, INT64_MAX, 0.6, true},
    {1, 131, 1, 1, 1, INT64_MAX, 1, true},
    {2, 9, 4, 2, 3, 5, 0.9, false, 0.7},
    {1, 11, 2, 1, 4, INT64_MAX, 0.9, true, 1.5},
};

/* Each as it is, with rises, with sinks, with both. */
START_TEST(attention)
{
    attention_case c = {.of = shapes[_i / 4]};
    double *rises = numbers(c.of.heads * c.of.length), *sinks = numbers(c.of.heads);
    c.of.rises = _i % 4 & 1 ? rises : NULL;
    c.of.sinks = _i % 4 & 2 ? sinks : NULL;
    int64_t tokens = c.of.sequences * c.of.length, size = c.of.size;
    int64_t queries = tokens * c.of.heads * size, keys = tokens * c.of.kv_heads * size;
    c.q = numbers(queries), c.k = numbers(keys), c.v = numbers(keys), c.dout = numbers(queries);
    double *dq = numbers(queries), *dk = numbers(keys), *dv = numbers(keys); /* they are set */
    ok(s24m_back_attention(ctx, &c.of, (const double *const[]){c.q, c.k, c.v}, c.dout,
                           (double *const[]){dq, dk, dv}));
    if ((c.of.length > 1 && c.of.window > 1) || c.of.sinks) {
        compare("queries", attention_loss, &c, c.q, dq, queries);
        compare("keys", attention_loss, &c, c.k, dk, keys);
    } else
        for (int64_t i = 0; i < keys; i++) /* a token that sees itself alone always does */
            ck_assert(fabs(dk[i]) < 1e-12 && fabs(dq[i]) < 1e-12);
    compare("values", attention_loss, &c, c.v, dv, keys);
    free(rises), free(sinks);
    free(c.q), free(c.k), free(c.v), free(c.dout), free(dq), free(dk), free(dv);
}
END_TEST

typedef struct rotary_case {
    double *x, *dy, *cosine, *sine;
    bool interleaved;
} rotary_case;

enum { LENGTH = 4, TOKENS = 8, HEADS = 2, HEAD = 7, PAIRS = 2 };

/* Pairs of the first 2 PAIRS elements of a head; the others stay. */
static double rotary_loss(const void *arg)
{
    const rotary_case *c = arg;
    double sum = 0;
    for (int n = 0; n < TOKENS * HEADS; n++) {
        const double *x = c->x + n * HEAD, *dy = c->dy + n * HEAD;
        int place = n / HEADS % LENGTH * PAIRS;
        for (int i = 0; i < PAIRS; i++) {
            int a = c->interleaved ? 2 * i : i, b = c->interleaved ? a + 1 : i + PAIRS;
            sum += dy[a] * (x[a] * c->cosine[place + i] - x[b] * c->sine[place + i]);
            sum += dy[b] * (x[a] * c->sine[place + i] + x[b] * c->cosine[place + i]);
        }
        for (int i = 2 * PAIRS; i < HEAD; i++)
            sum += dy[i] * x[i];
    }
    return sum;
}

START_TEST(rotation)
{
    enum { ALL = TOKENS * HEADS * HEAD };
    rotary_case c = {numbers(ALL), numbers(ALL), numbers(LENGTH * PAIRS), numbers(LENGTH * PAIRS),
                     _i};
    double *dx = zeros(ALL);
    memcpy(dx, c.dy, ALL * sizeof *dx);
    s24m_rotary_back b = {c.cosine, c.sine, TOKENS, LENGTH, HEADS, HEAD, PAIRS, _i, dx, false};
    ok(s24m_back_rotary(ctx, &b));
    compare("rotation", rotary_loss, &c, c.x, dx, ALL);
    double there = rotary_loss(&c);
    memcpy(dx, c.x, ALL * sizeof *dx);
    b.forth = true;
    ok(s24m_back_rotary(ctx, &b));
    ck_assert_double_eq_tol(inner(dx, c.dy, ALL), there, 1e-12);
    free(c.x), free(c.dy), free(c.cosine), free(c.sine), free(dx);
}
END_TEST

/* ---- Losses ---- */

enum { ROWS = 3, VOCAB = 19 };

typedef struct head_case {
    double *student, *teacher;
    const int32_t *tokens;
} head_case;

static double log_total(const double *x)
{
    double sum = 0;
    for (int i = 0; i < VOCAB; i++)
        sum += exp(x[i]);
    return log(sum);
}

static double divergence_loss(const void *arg)
{
    const head_case *c = arg;
    double sum = 0;
    for (int r = 0; r < ROWS; r++) {
        const double *s = c->student + r * VOCAB, *t = c->teacher + r * VOCAB;
        double of_s = log_total(s), of_t = log_total(t);
        for (int i = 0; i < VOCAB; i++)
            sum += exp(t[i] - of_t) * ((t[i] - of_t) - (s[i] - of_s));
    }
    return 0.3 * sum;
}

static double entropy_loss(const void *arg)
{
    const head_case *c = arg;
    double sum = 0;
    for (int r = 0; r < ROWS; r++)
        if (c->tokens[r] >= 0)
            sum += log_total(c->student + r * VOCAB) - c->student[r * VOCAB + c->tokens[r]];
    return 0.3 * sum;
}

static double *copy(const double *x)
{
    double *made = zeros(ROWS * VOCAB);
    memcpy(made, x, ROWS * VOCAB * sizeof *x);
    return made;
}

START_TEST(divergence)
{
    head_case c = {numbers(ROWS * VOCAB), numbers(ROWS * VOCAB), NULL};
    for (int i = 0; i < ROWS * VOCAB; i++)
        c.student[i] *= 5, c.teacher[i] *= 5;
    double *s = copy(c.student), *t = copy(c.teacher), losses[ROWS], sum = 0;
    ok(s24m_back_divergence(ctx, s, t, ROWS, VOCAB, 0.3, losses));
    for (int r = 0; r < ROWS; r++)
        sum += losses[r];
    ck_assert_double_eq_tol(0.3 * sum, divergence_loss(&c), 1e-12);
    compare("student", divergence_loss, &c, c.student, s, ROWS * VOCAB);
    memcpy(s, c.teacher, ROWS * VOCAB * sizeof *s);
    memcpy(t, c.teacher, ROWS * VOCAB * sizeof *t);
    ok(s24m_back_divergence(ctx, s, t, ROWS, VOCAB, 0.3, losses)); /* the same model */
    for (int i = 0; i < ROWS * VOCAB; i++)
        ck_assert_double_eq(s[i], 0);
    for (int r = 0; r < ROWS; r++)
        ck_assert_double_eq(losses[r], 0);
    free(c.student), free(c.teacher), free(s), free(t);
}
END_TEST

START_TEST(entropy)
{
    static const int32_t tokens[ROWS] = {4, -1, 18};
    head_case c = {numbers(ROWS * VOCAB), NULL, tokens};
    double *s = copy(c.student), losses[ROWS];
    ok(s24m_back_entropy(ctx, s, tokens, ROWS, VOCAB, 0.3, losses));
    ck_assert_double_eq_tol(0.3 * (losses[0] + losses[1] + losses[2]), entropy_loss(&c), 1e-12);
    ck_assert_double_eq(losses[1], 0);
    compare("logits", entropy_loss, &c, c.student, s, ROWS * VOCAB);
    free(c.student), free(s);
}
END_TEST

START_TEST(transposing)
{
    enum { TALL = 37, BROAD = 131 };
    double *a = numbers(TALL * BROAD), *turned = zeros(TALL * BROAD);
    ok(s24m_turn(ctx, s24m_array_of(a, TALL, BROAD), turned));
    for (int r = 0; r < TALL; r++)
        for (int j = 0; j < BROAD; j++)
            ck_assert(turned[j * TALL + r] == a[r * BROAD + j]);
    free(a), free(turned);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("backward");
    TCase *tc = tcase_create("backward");
    tcase_add_test(tc, linear);
    tcase_add_loop_test(tc, norm, 0, sizeof norms / sizeof *norms);
    tcase_add_loop_test(tc, attention, 0, 4 * (sizeof shapes / sizeof *shapes));
    tcase_add_loop_test(tc, rotation, 0, 2);
    tcase_add_test(tc, divergence);
    tcase_add_test(tc, entropy);
    tcase_add_test(tc, transposing);
    return run_suite(suite, tc);
}
