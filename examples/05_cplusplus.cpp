// From C++11: handles in unique_ptr, failures as exceptions. No wrapper library is needed.
// Usage: 05_cplusplus [LAYERS.safetensors]
#include <cstdio>
#include <exception>
#include <memory>
#include <sparse24/sparse24.h>
#include <stdexcept>
#include <string>

template <class T, void (*destroy)(T *)> struct Deleter {
    void operator()(T *object) const
    {
        destroy(object);
    }
};
template <class T, void (*destroy)(T *)> using Handle = std::unique_ptr<T, Deleter<T, destroy>>;

using Context = Handle<s24_ctx, s24_ctx_destroy>;
using File = Handle<s24_file, s24_file_destroy>;
using Gram = Handle<s24_gram, s24_gram_destroy>;
using Problem = Handle<s24_problem, s24_problem_destroy>;
using Solver = Handle<s24_solver, s24_solver_destroy>;
using Result = Handle<s24_result, s24_result_destroy>;

static void check(s24_status status)
{
    if (status != S24_OK)
        throw std::runtime_error(std::string(s24_status_name(status)) + ": " + s24_last_error());
}

// make<Gram>(s24_gram_create, ctx, dim, type): calls it with an output argument at the end.
template <class H, class Create, class... Arguments> H make(Create create, Arguments... arguments)
{
    typename H::pointer object = nullptr;
    check(create(arguments..., &object));
    return H(object);
}

static double compress(const char *path)
{
    s24_mat w, x;
    double error;
    Context ctx = make<Context>(s24_ctx_create);
    File file = make<File>(s24_file_open, ctx.get(), path);
    check(s24_file_get(file.get(), "w.v", &w));
    check(s24_file_get(file.get(), "x.attn", &x));
    Gram gram = make<Gram>(s24_gram_create, ctx.get(), x.cols, S24_F32);
    check(s24_gram_add(gram.get(), &x, nullptr));
    Problem problem = make<Problem>(s24_problem_create, ctx.get(), &w);
    check(s24_problem_set_gram(problem.get(), gram.get()));
    check(s24_problem_set_pattern(problem.get(), 2, 4));
    Solver solver = make<Solver>(s24_solver_create, ctx.get(), "sparsegpt");
    Result result = make<Result>(s24_solve, solver.get(), problem.get());
    check(s24_result_float(result.get(), "relative_loss", &error));
    return error;
}

int main(int argc, char **argv)
{
    try {
        const char *path = argc > 1 ? argv[1] : "examples/data/smollm2-block10-small.safetensors";
        std::printf("w.v to 2:4: error %.4f\n", compress(path));
    } catch (const std::exception &failure) {
        std::fprintf(stderr, "%s\n", failure.what());
        return 1;
    }
    return 0;
}
