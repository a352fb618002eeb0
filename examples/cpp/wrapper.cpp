// sparse24.hpp at work, and the checks that it does what it says.
// Usage: wrapper [LAYERS.safetensors]
#include "sparse24.hpp"
#include <cstdio>
#include <type_traits>

using namespace sparse24;

static_assert(!std::is_copy_constructible<Context>::value, "handles do not copy");
static_assert(!std::is_copy_assignable<Result>::value, "handles do not copy");
static_assert(std::is_nothrow_move_constructible<Packed>::value, "handles move");
static_assert(std::is_nothrow_move_assignable<Solver>::value, "handles move");

static int failures;

static void expect(bool good, const char *what)
{
    std::printf("%s - %s\n", good ? "ok" : "not ok", what);
    failures += !good;
}

// The status that a call ends with.
template <class Call> static s24_status status_of(Call call)
{
    try {
        call();
    } catch (const Error &failure) {
        return failure.status();
    }
    return S24_OK;
}

static void compress(const Context &ctx, const File &file)
{
    const s24_mat w = file["w.v"], x = file["x.attn"];
    Problem problem(ctx, w, "2:4");
    {
        Gram gram(ctx, x.cols);
        problem.gram(gram.add(x));
    } // the problem keeps it
    Solver solver(ctx, "sparsegpt", "damp_rule=relative,damp=0.01");
    int64_t steps = 0;
    Result result = solver.solve(problem, [&](const std::string &, int64_t, int64_t) {
        steps++;
        return false;
    });
    expect(steps > 0, "progress is a lambda");
    expect(result.text("solver") == "sparsegpt", "texts");
    expect(result.number("relative_loss") == problem.relative_loss(result.matrix("weights")),
           "numbers");

    Packed packed(ctx, result, "ri16x32");
    Packed moved = std::move(packed);
    expect(!packed.get() && moved.parts().size() == 1, "handles move");
    std::vector<float> y(static_cast<size_t>(4 * w.rows)), dense(y.size());
    s24_mat rows = x, v = result.matrix("weights"), out = matrix(y, 4, w.rows),
            same = matrix(dense, 4, w.rows);
    rows.rows = 4;
    moved.multiply(rows, out);
    check(s24_mat_multiply(ctx.get(), &rows, &v, &same));
    double difference = 0, norm = 0;
    for (size_t i = 0; i < y.size(); i++) {
        difference += (y[i] - dense[i]) * (y[i] - dense[i]);
        norm += dense[i] * dense[i];
    }
    expect(difference < 1e-10 * norm, "the packed product is the dense one");
}

static void fail(const Context &ctx, const File &file)
{
    const s24_mat w = file["w.v"];
    std::vector<float> small(8, 1);
    expect(status_of([&] { Solver(ctx, "sparsegtp"); }) == S24_E_UNSUPPORTED, "an unknown solver");
    expect(status_of([&] { Problem(ctx, w, "5:4"); }) != S24_OK, "constraints");
    expect(status_of([&] { matrix(small, 3, 3); }) == S24_E_SHAPE, "a container that is too small");
    expect(status_of([&] { Packed(ctx, matrix(small, 1, 8), "nibble"); }) == S24_E_STATE,
           "a dense matrix");
    expect(status_of([&] { matrix(std::vector<uint16_t>(8), 1, 8); }) == S24_E_DTYPE,
           "16 bits of what?");
    expect(status_of([&] { matrix(std::vector<uint16_t>(8), 1, 8, S24_BF16); }) == S24_OK, "bf16");

    Problem problem(ctx, w, "2:4");
    Solver solver(ctx, "sparsegpt");
    Gram gram(ctx, w.cols);
    problem.gram(gram.add(file["x.attn"]));
    bool thrown = false;
    try {
        solver.solve(problem, [](const std::string &, int64_t, int64_t) -> bool {
            throw std::logic_error("from the callback");
        });
    } catch (const std::logic_error &) {
        thrown = true;
    }
    expect(thrown, "an exception of the callback comes out of solve()");
    expect(solver.solve(problem).text("stop") == "converged", "and the solver goes on");
}

int main(int argc, char **argv)
{
    try {
        int lines = 0;
        Context ctx;
        ctx.set("threads", 2).set("log_level", 3).log([&](int, const std::string &) { lines++; });
        File file(ctx, argc > 1 ? argv[1] : "examples/data/smollm2-block10-small.safetensors");
        compress(ctx, file);
        fail(ctx, file);
        expect(lines >= 0 && ctx.peak_bytes() > 0, "the context's facts");
    } catch (const std::exception &failure) {
        std::printf("not ok - %s\n", failure.what());
        return 1;
    }
    return failures != 0;
}
