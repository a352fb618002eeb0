/* The proximal operator of 2:4: nanoseconds a group on every instruction set, and relative to the
 * reference and to a plain loop of the published alternating scheme, measured in turn with the
 * kernel on one thread. One JSON object a line; the change of layout is in the times. Usage: prox
 * [groups] */
#include "kernels/kernels.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SAMPLES = 7, ROUNDS = 100 };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the published scheme, for single precision ---- */

/* Minimise over one entry after the other, from zero, the smallest first, a fixed number of rounds.
 * y descends. */
static void alternate(const float *y, int count, float *u)
{
    memset(u, 0, 4 * sizeof *u);
    for (int round = 0; round < ROUNDS; ++round)
        for (int i = count - 1; i >= 0; --i) {
            float a = u[(i + 1) % 4], b = u[(i + 2) % 4], c = u[(i + 3) % 4];
            u[i] = fmaxf(y[i] - (a * b + c * (a + b)), 0);
        }
}

static float objective(const float *y, const float *u)
{
    float squares = 0;
    for (int i = 0; i < 4; ++i)
        squares += (u[i] - y[i]) * (u[i] - y[i]);
    return 0.5f * squares + u[0] * u[1] * (u[2] + u[3]) + u[2] * u[3] * (u[0] + u[1]);
}

static void sort_descending(const float *z, int order[4])
{
    for (int i = 0; i < 4; ++i) {
        int j = i;
        for (; j > 0 && fabsf(z[order[j - 1]]) < fabsf(z[i]); --j)
            order[j] = order[j - 1];
        order[j] = i;
    }
}

/* The best of two kept, three and four alternated. */
static void published_group(const float *z, float *w, float lambda)
{
    int order[4];
    float y[4], u[3][4];
    sort_descending(z, order);
    for (int i = 0; i < 4; ++i)
        y[i] = lambda * fabsf(z[order[i]]);
    memcpy(u[0], (float[4]){y[0], y[1], 0, 0}, sizeof u[0]);
    alternate(y, 3, u[1]);
    alternate(y, 4, u[2]);
    int best = 0;
    for (int i = 1; i < 3; ++i)
        if (objective(y, u[i]) < objective(y, u[best]))
            best = i;
    for (int i = 0; i < 4; ++i)
        w[order[i]] = copysignf(u[best][i] / lambda, z[order[i]]);
}

/* ---- timing ---- */

typedef struct work {
    s24i_kernels kernels;
    int64_t n;
    int32_t relative;
    float lambda;
    float *z, *w;
    double *dz, *dw;
} work;

typedef void (*call)(work *);

static void run_published(work *b)
{
    for (int64_t i = 0; i + 4 <= b->n / 16; i += 4) /* a sixteenth of the groups is enough */
        published_group(b->z + i, b->w + i, b->lambda);
}

static void run_f32(work *b)
{
    b->kernels.prox_2m_f32(b->z, b->w, b->n, 4, b->lambda, b->relative);
}

static void run_f64(work *b)
{
    b->kernels.prox_2m_f64(b->dz, b->dw, b->n, 4, (double)b->lambda, b->relative);
}

static double time_once(call run, work *b)
{
    double start = seconds();
    run(b);
    return seconds() - start;
}

typedef struct times {
    double reference, kernel, published; /* seconds a group */
} times;

static times measure(call run, work *b, const char *isa)
{
    times best = {INFINITY, INFINITY, INFINITY};
    double groups = (double)b->n / 4;
    for (int sample = 0; sample < SAMPLES; ++sample) {
        best.published = fmin(best.published, time_once(run_published, b) / floor(groups / 16));
        s24i_kernels_dispatch(&b->kernels, "ref");
        best.reference = fmin(best.reference, time_once(run, b) / groups);
        s24i_kernels_dispatch(&b->kernels, isa);
        best.kernel = fmin(best.kernel, time_once(run, b) / groups);
    }
    return best;
}

static void report(call run, work *b, const char *type, const char *isa)
{
    static const float lambdas[] = {0.1f, 1, 2.5f};
    for (int i = 0; i < 6; ++i) {
        b->lambda = lambdas[i % 3];
        b->relative = i / 3;
        times t = measure(run, b, isa);
        printf(
            "{\"bench\":\"prox\",\"pattern\":\"2:4\",\"type\":\"%s\",\"isa\":\"%s\",\"lambda\":%g,"
            "\"relative\":%d,\"groups\":%lld,\"ns_per_group\":%.1f,\"times_reference\":%.2f,"
            "\"published_ns_per_group\":%.0f,\"times_published\":%.1f}\n",
            type, isa, (double)b->lambda, (int)b->relative, (long long)(b->n / 4), t.kernel * 1e9,
            t.reference / t.kernel, t.published * 1e9, t.published / t.kernel);
        fflush(stdout);
    }
}

/* About normal: the sum of four uniform numbers. */
static void fill(work *b)
{
    uint64_t state = 88172645463325252u;
    for (int64_t i = 0; i < b->n; ++i) {
        double sum = 0;
        for (int part = 0; part < 4; ++part) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            sum += (double)(state >> 11) * 0x1p-53 - 0.5;
        }
        b->dz[i] = 1.7 * sum;
        b->z[i] = (float)b->dz[i];
    }
}

int main(int argc, char **argv)
{
    int64_t n = 4 * (argc > 1 ? atoll(argv[1]) : 65536);
    work b = {.n = n < 64 ? 64 : n};
    size_t count = (size_t)b.n;
    b.z = malloc(count * sizeof *b.z);
    b.w = malloc(count * sizeof *b.w);
    b.dz = malloc(count * sizeof *b.dz);
    b.dw = malloc(count * sizeof *b.dw);
    if (!b.z || !b.w || !b.dz || !b.dw)
        return 1;
    fill(&b);
    for (int isa = 0; s24i_kernels_isa(isa); ++isa) {
        report(run_f32, &b, "f32", s24i_kernels_isa(isa));
        report(run_f64, &b, "f64", s24i_kernels_isa(isa));
    }
    free(b.z);
    free(b.w);
    free(b.dz);
    free(b.dw);
    return 0;
}
