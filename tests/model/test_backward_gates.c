/* Tests lib/model/backward_{gate,experts}.c, compiled in double (S24M_DOUBLE): gates and weights of
 * experts against central differences of the same written out. */
#include "backward_experts.h"
#include "differences.h"

enum { SIZE = 9 };

/* ---- Gates ---- */

enum { HIGH = 3, WIDE = 300 }; /* more than a piece of a row */

typedef struct gate_case {
    s24m_activation kind;
    double *gate, *up, *dx; /* up NULL: none */
    int stride;
} gate_case;

static double activate(s24m_activation kind, double z)
{
    switch (kind) {
    case S24M_SILU:
        return z / (1 + exp(-z));
    case S24M_GELU:
        return 0.5 * z * (1 + erf(z / sqrt(2)));
    case S24M_GELU_TANH:
        return 0.5 * z * (1 + tanh(sqrt(2 / acos(-1.0)) * (z + 0.044715 * z * z * z)));
    case S24M_RELU2:
        return z > 0 ? z * z : 0;
    default:
        return z > 0 ? z : 0;
    }
}

static double gate_loss(const void *arg)
{
    const gate_case *c = arg;
    double sum = 0;
    for (int r = 0; r < HIGH; r++)
        for (int i = 0; i < WIDE; i++)
            sum += c->dx[r * WIDE + i] * (c->up ? c->up[r * c->stride + i] : 1) *
                   activate(c->kind, c->gate[r * c->stride + i]);
    return sum;
}

/* Gate and up in two arrays, in one, or no up. */
START_TEST(gate)
{
    enum { WAYS = 3 };
    int way = _i % WAYS;
    bool fused = way == 1;
    gate_case c = {
        .kind = _i / WAYS, .dx = numbers(HIGH * WIDE), .stride = fused ? 2 * WIDE : WIDE};
    double *both = numbers(2 * HIGH * WIDE), *dboth = zeros(2 * HIGH * WIDE);
    int64_t apart = fused ? WIDE : HIGH * WIDE;
    for (int i = 0; i < 2 * HIGH * WIDE; i++)
        both[i] *= 6;
    c.gate = both;
    c.up = way < 2 ? both + apart : NULL;
    s24m_gate_back b = {.kind = c.kind,
                        .gate = both,
                        .up = c.up,
                        .dx = c.dx,
                        .rows = HIGH,
                        .size = WIDE,
                        .stride = c.stride,
                        .dgate = dboth,
                        .dup = dboth + apart};
    ok(s24m_back_gate(ctx, &b));
    compare("gate, up", gate_loss, &c, both, dboth, (way < 2 ? 2 : 1) * HIGH * WIDE);
    free(c.dx), free(both), free(dboth);
}
END_TEST

typedef struct clamped_case {
    double *both, *dx;
} clamped_case;

static double clamped_loss(const void *arg)
{
    const clamped_case *c = arg;
    double sum = 0;
    for (int i = 0; i < HIGH * SIZE; i++) {
        double gate = fmin(c->both[2 * i], 2), up = fmax(fmin(c->both[2 * i + 1], 2), -2);
        sum += c->dx[i] * (up + 1) * gate / (1 + exp(-1.7 * gate));
    }
    return sum;
}

START_TEST(clamped_gate)
{
    clamped_case c = {numbers(2 * HIGH * SIZE), numbers(HIGH * SIZE)};
    double *dboth = zeros(2 * HIGH * SIZE);
    for (int i = 0; i < 2 * HIGH * SIZE; i++)
        c.both[i] *= 4;
    s24m_clamped_back b = {2, 1.7, c.both, c.dx, HIGH, SIZE, dboth};
    ok(s24m_back_clamped_gate(ctx, &b));
    compare("gate, up", clamped_loss, &c, c.both, dboth, 2 * HIGH * SIZE);
    free(c.both), free(c.dx), free(dboth);
}
END_TEST

/* ---- Routes ---- */

enum { CHOICES = 6, USED = 3, ROUTED = 4 };

typedef struct route_case {
    s24m_score kind;
    bool shares;
    double *logits, *dweights;
    int32_t taken[ROUTED * USED];
} route_case;

/* The weight of the k-th of what a token takes, as the models say it. */
static double weight_of(const route_case *c, const double *x, const int32_t *taken, int k)
{
    double all = 0, used = c->kind == S24M_SIGMOID ? 1e-20 : 0, top = x[taken[k]];
    for (int i = 0; i < CHOICES; i++)
        all += exp(x[i]);
    for (int i = 0; i < USED; i++)
        used += c->kind == S24M_SIGMOID   ? 1 / (1 + exp(-x[taken[i]]))
                : c->kind == S24M_SOFTMAX ? exp(x[taken[i]]) / all
                                          : exp(x[taken[i]]);
    switch (c->kind) {
    case S24M_SIGMOID:
        return 1.5 / (1 + exp(-top)) / (c->shares ? used : 1);
    case S24M_SOFTMAX:
        return 1.5 * exp(top) / all / (c->shares ? used : 1);
    case S24M_SOFTMAX_OF_USED:
        return 1.5 * exp(top) / used;
    default:
        all = 0;
        for (int i = 0; i < CHOICES; i++) {
            bool gone = (top - x[i]) / fmax(fabs(x[i]), top) > 2 * 0.2;
            for (int before = 0; before < k; before++)
                gone |= i == taken[before];
            all += gone ? 0 : exp(x[i]);
        }
        return exp(top) / all;
    }
}

static double route_loss(const void *arg)
{
    const route_case *c = arg;
    double sum = 0;
    for (int t = 0; t < ROUTED; t++)
        for (int k = 0; k < USED; k++)
            sum += c->dweights[t * USED + k] *
                   weight_of(c, c->logits + t * CHOICES, c->taken + t * USED, k);
    return sum;
}

static const struct {
    s24m_score kind;
    bool shares;
} routings[] = {{S24M_SOFTMAX, false}, {S24M_SOFTMAX, true},         {S24M_SIGMOID, false},
                {S24M_SIGMOID, true},  {S24M_SOFTMAX_OF_USED, true}, {S24M_NEAR_BEST, false}};

START_TEST(routes)
{
    route_case c = {routings[_i].kind,
                    routings[_i].shares,
                    numbers(ROUTED * CHOICES),
                    numbers(ROUTED * USED),
                    {0}};
    double dlogits[ROUTED * CHOICES], room[3 * CHOICES];
    bool open[CHOICES];
    for (int t = 0; t < ROUTED; t++) /* the largest, the next, ... */
        for (int k = 0; k < USED; k++) {
            double *x = c.logits + t * CHOICES;
            int best = -1;
            for (int i = 0; i < CHOICES; i++) {
                bool gone = false;
                for (int before = 0; before < k; before++)
                    gone |= c.taken[t * USED + before] == i;
                best = !gone && (best < 0 || x[i] > x[best]) ? i : best;
            }
            c.taken[t * USED + k] = best;
        }
    s24m_route_back b = {.kind = c.kind,
                         .shares = c.shares,
                         .factor = 1.5,
                         .near = 0.2,
                         .tokens = ROUTED,
                         .count = CHOICES,
                         .used = USED,
                         .logits = c.logits,
                         .taken = c.taken,
                         .dweights = c.dweights,
                         .dlogits = dlogits,
                         .room = room,
                         .open = open};
    s24m_back_route(&b);
    compare("logits", route_loss, &c, c.logits, dlogits, ROUTED * CHOICES);
    free(c.logits), free(c.dweights);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("backward gates");
    TCase *tc = tcase_create("backward gates");
    tcase_add_loop_test(tc, gate, 0, 3 * S24M_ACTIVATIONS);
    tcase_add_test(tc, clamped_gate);
    tcase_add_loop_test(tc, routes, 0, sizeof routings / sizeof *routings);
    return run_suite(suite, tc);
}
