/*
 * Sums that the device makes against the CPU's, and what must not work: usage: sums LIBRARY:INDEX.
 */
#include "gpu_test.h"
#include "base/half.h"

extern int cudaMalloc(void **block, size_t size);
extern int cudaFree(void *block);
extern int cudaMemcpy(void *to, const void *from, size_t size, int kind);

/* Rows of 16 bits or 32, in uneven batches, from the host or the device: halves as the CPU's. */
static void try_sum(s24_ctx *here, s24_ctx *there, int32_t type, bool on_device, bool weights,
                    bool target)
{
    enum { ROWS = 5000, COLS = 200, OUT = 40 };
    static float x[ROWS * COLS], t[ROWS * OUT], weight[ROWS];
    static double a[COLS * COLS], b[COLS * COLS];
    static uint16_t halves[ROWS * COLS];
    s24_gram *first, *second;
    s24_cross *c[2] = {NULL, NULL};
    double rows[2], norms[2][OUT];
    void *device = NULL;
    s24_mat view_a, view_b, rows_x, rows_t, rows_w;

    for (int i = 0; i < ROWS * COLS; i++)
        x[i] = normal() + 0.3f;
    for (int i = 0; i < ROWS * OUT; i++)
        t[i] = normal();
    for (int i = 0; i < ROWS; i++)
        weight[i] = i % 7 ? 1 + (float)(i % 5) : 0;
    for (int i = 0; i < ROWS * COLS; i++)
        halves[i] = type == S24_BF16 ? s24i_f32_to_bf16(x[i]) : s24i_f32_to_f16(x[i]);
    ok(s24_gram_create(here, COLS, S24_F32, &first), "gram");
    ok(s24_gram_create(there, COLS, S24_F32, &second), "gram");
    if (target) {
        ok(s24_cross_create(first, OUT, &c[0]), "cross");
        ok(s24_cross_create(second, OUT, &c[1]), "cross");
    }
    void *data = type == S24_F32 ? (void *)x : (void *)halves;
    size_t bytes = (size_t)ROWS * COLS * (type == S24_F32 ? 4 : 2);
    if (on_device && (cudaMalloc(&device, bytes) || cudaMemcpy(device, data, bytes, 4)))
        exit(1);
    for (int i = 0, step = 37; i < ROWS; i += step, step = step * 5 % 991 + 1) {
        if (step > ROWS - i)
            step = ROWS - i;
        for (int k = 0; k < 2; k++) {
            char *base_x = k && on_device ? device : data;
            ok(s24_mat_rowmajor(&rows_x, base_x + (size_t)i * COLS * (type == S24_F32 ? 4 : 2),
                                step, COLS, type),
               "view");
            if (k && on_device)
                rows_x.device = S24_CUDA;
            rows_t = view(t + i * OUT, step, OUT);
            rows_w = view(weight + i, step, 1);
            ok(s24_gram_add_targets(k ? second : first, &rows_x, weights ? &rows_w : NULL, &c[k],
                                    &rows_t, target),
               "add");
        }
    }
    for (int half = 1; half <= 2; half++) {
        double largest = 0, worst = 0;
        ok(s24_mat_rowmajor(&view_a, a, COLS, COLS, S24_F64), "view");
        ok(s24_mat_rowmajor(&view_b, b, COLS, COLS, S24_F64), "view");
        ok(s24_gram_export(first, half, &view_a, &rows[0]), "export");
        ok(s24_gram_export(second, half, &view_b, &rows[1]), "export");
        for (int i = 0; i < COLS * COLS; i++) {
            largest = fmax(largest, fabs(a[i]));
            worst = fmax(worst, fabs(a[i] - b[i]));
        }
        double near = type == S24_F32 || weights ? 2e-6 : 2e-5; /* tensor cores cut their sums */
        check(worst < near * largest && rows[0] == rows[1],
              "sums of type %x, device %d, weights %d, half %d: off by %g of %g, rows %g %g",
              (unsigned)type, on_device, weights, half, worst, largest, rows[0], rows[1]);
        if (!target)
            continue;
        ok(s24_mat_rowmajor(&view_a, a, OUT, COLS, S24_F64), "view");
        ok(s24_mat_rowmajor(&view_b, b, OUT, COLS, S24_F64), "view");
        ok(s24_cross_export(c[0], half, &view_a, norms[0], &rows[0]), "export");
        ok(s24_cross_export(c[1], half, &view_b, norms[1], &rows[1]), "export");
        for (int i = 0; i < OUT * COLS; i++)
            worst = fmax(worst, fabs(a[i] - b[i]));
        for (int i = 0; i < OUT; i++)
            worst = fmax(worst, fabs(norms[0][i] - norms[1][i]));
        check(worst < near * largest, "cross of type %x, device %d, half %d: off by %g of %g",
              (unsigned)type, on_device, half, worst, largest);
    }
    cudaFree(device);
    s24_cross_destroy(c[0]);
    s24_cross_destroy(c[1]);
    s24_gram_destroy(first);
    s24_gram_destroy(second);
}

static void try_sums(const char *library)
{
    static const int32_t types[] = {S24_F32, S24_BF16, S24_F16};
    s24_ctx *here, *there;

    ok(s24_ctx_create(&here), "context");
    ok(s24_ctx_create(&there), "context");
    ok(s24_ctx_set_str(there, "device", library), library);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 8; k++)
            try_sum(here, there, types[i], k & 1, k & 2, k & 4);
    uint64_t held = atomic_load(&there->device->memory->current);
    check(held == 0, "%llu bytes of the device are left by sums", (unsigned long long)held);
    s24_ctx_destroy(here);
    s24_ctx_destroy(there);
}

/* ---- What must not work ---- */

static void try_faults(const char *library)
{
    s24_ctx *ctx;
    char text[1100];

    ok(s24_ctx_create(&ctx), "context");
    snprintf(text, sizeof text, "%.*s:77", (int)(strrchr(library, ':') - library), library);
    s24_status status = s24_ctx_set_str(ctx, "device", text);
    check(status == S24_E_BACKEND, "device 77: %d %s", status, s24_last_error());
    printf("# device 77: %s\n", s24_last_error());
    ok(s24_ctx_set_str(ctx, "device", library), library);
    layer l = open_layer(ctx, 16, 64, 300, "2:4", false);
    l.w[5] = NAN;
    s24_solver *solver;
    s24_result *result = NULL;
    ok(s24_solver_create(ctx, "wanda", &solver), "wanda");
    s24_status refused = s24_solve(solver, l.problem, &result);
    check(refused == S24_E_NONFINITE, "NaN: %d %s", refused, s24_last_error());
    printf("# NaN: %s\n", s24_last_error());
    check(s24_ctx_set_str(ctx, "device", "cpu") == S24_E_STATE, "device with handles: %s",
          s24_last_error());
    close_layer(&l);
    s24_solver_destroy(solver);
    uint64_t held = atomic_load(&ctx->device->memory->current);
    check(held == 0, "%llu bytes of the device are left", (unsigned long long)held);
    s24_ctx_destroy(ctx);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    try_sums(argv[1]);
    try_faults(argv[1]);
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
