// libsparse24 for C++11, header only: handles that clean up after themselves and move but do not copy, failures as exceptions, matrices from
// pointers or containers. Installed as <sparse24/sparse24.hpp>: it adds nothing to the C interface and needs nothing but its headers.
#ifndef SPARSE24_HPP
#define SPARSE24_HPP
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <sparse24/sparse24.h>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace sparse24
{

// A failed call: what() is the library's text, status() its number.
class Error : public std::runtime_error
{
  public:
    Error(s24_status status, const std::string &text)
        : std::runtime_error(std::string(s24_status_name(status)) + ": " + text), status_(status)
    {
    }
    s24_status status() const noexcept
    {
        return status_;
    }

  private:
    s24_status status_;
};

inline void check(s24_status status)
{
    if (status != S24_OK)
        throw Error(status, s24_last_error());
}

// ---- Matrices: borrowed views, s24_mat as it is ----

template <class T> struct Dtype { // 0: name the type yourself
    static const int32_t value = 0;
};
template <> struct Dtype<float> {
    static const int32_t value = S24_F32;
};
template <> struct Dtype<double> {
    static const int32_t value = S24_F64;
};
template <> struct Dtype<int8_t> {
    static const int32_t value = S24_I8;
};
template <> struct Dtype<uint8_t> {
    static const int32_t value = S24_U8;
};

// Row-major elements at a pointer. The library writes only to views that a function's comment calls an output.
inline s24_mat matrix(const void *data, int64_t rows, int64_t cols, int32_t dtype)
{
    s24_mat view;
    check(s24_mat_rowmajor(&view, const_cast<void *>(data), rows, cols, dtype));
    return view;
}
template <class T> s24_mat matrix(const T *data, int64_t rows, int64_t cols)
{
    return matrix(static_cast<const void *>(data), rows, cols, Dtype<T>::value);
}
// Anything with data() and size(): std::vector, std::array, a span. 16-bit floats lie in uint16_t: name their type.
template <class C> s24_mat matrix(const C &elements, int64_t rows, int64_t cols, int32_t dtype = 0)
{
    typedef typename std::remove_pointer<decltype(elements.data())>::type Element;
    typedef typename std::remove_cv<Element>::type T;
    if (rows < 0 || cols < 0 ||
        (cols && static_cast<uint64_t>(rows) > elements.size() / static_cast<uint64_t>(cols)))
        throw Error(S24_E_SHAPE, "matrix: more elements wanted than the container holds");
    return matrix(static_cast<const void *>(elements.data()), rows, cols,
                  dtype ? dtype : Dtype<T>::value);
}

// ---- Handles ----

template <class T, void (*destroy)(T *)> class Handle
{
  public:
    T *get() const noexcept
    {
        return object_.get();
    }

  protected:
    Handle() = default;
    // Call create(arguments..., &object).
    template <class Create, class... Arguments> void make(Create create, Arguments... arguments)
    {
        T *object = nullptr;
        check(create(arguments..., &object));
        object_.reset(object);
    }

  private:
    struct Destroy {
        void operator()(T *object) const
        {
            destroy(object);
        }
    };
    std::unique_ptr<T, Destroy> object_;
};

class Context : public Handle<s24_ctx, s24_ctx_destroy>
{
  public:
    typedef std::function<void(int level, const std::string &line)> Log;

    Context()
    {
        make(s24_ctx_create);
    }
    Context(s24_alloc_fn alloc, s24_free_fn free, void *user)
    {
        make(s24_ctx_create_with, alloc, free, user);
    }
    Context &set(const char *option, int64_t value)
    {
        check(s24_ctx_set_int(get(), option, value));
        return *this;
    }
    Context &set(const char *option, const char *value)
    {
        check(s24_ctx_set_str(get(), option, value));
        return *this;
    }
    // The sink must not throw; it lives as long as the context.
    Context &log(Log sink)
    {
        std::unique_ptr<Log> kept(new Log(std::move(sink)));
        check(s24_ctx_set_log(get(), *kept ? write_log : nullptr, kept.get()));
        log_ = std::move(kept);
        return *this;
    }
    uint64_t peak_bytes() const
    {
        uint64_t peak;
        check(s24_ctx_memory(get(), nullptr, &peak));
        return peak;
    }
    void copy(const s24_mat &from, const s24_mat &to) const
    {
        check(s24_mat_copy(get(), &from, &to));
    }

  private:
    static void write_log(void *user, int32_t level, const char *message)
    {
        (*static_cast<Log *>(user))(level, message);
    }
    std::unique_ptr<Log> log_;
};

class File : public Handle<s24_file, s24_file_destroy>
{
  public:
    File(const Context &ctx, const std::string &path)
    {
        make(s24_file_open, ctx.get(), path.c_str());
    }
    // Read-only, as long as the file is open.
    s24_mat operator[](const std::string &tensor) const
    {
        s24_mat view;
        check(s24_file_get(get(), tensor.c_str(), &view));
        return view;
    }
};

class Gram : public Handle<s24_gram, s24_gram_destroy>
{
  public:
    Gram(const Context &ctx, int64_t dim, int32_t accumulator = S24_F32)
    {
        make(s24_gram_create, ctx.get(), dim, accumulator);
    }
    Gram &add(const s24_mat &x)
    {
        check(s24_gram_add(get(), &x, nullptr));
        return *this;
    }
};

// Borrows the weights, keeps the gram.
class Problem : public Handle<s24_problem, s24_problem_destroy>
{
  public:
    Problem(const Context &ctx, const s24_mat &w, const std::string &constraints)
    {
        make(s24_problem_create, ctx.get(), &w);
        check(s24_problem_parse(get(), constraints.c_str()));
    }
    Problem &gram(const Gram &gram)
    {
        check(s24_problem_set_gram(get(), gram.get()));
        return *this;
    }
    double relative_loss(const s24_mat &v) const
    {
        double loss, relative;
        check(s24_problem_loss(get(), &v, &loss, &relative));
        return relative;
    }
};

// Borrows its data until it is destroyed.
class Result : public Handle<s24_result, s24_result_destroy>
{
  public:
    Result(s24_solver *solver, const s24_problem *problem)
    {
        make(s24_solve, solver, problem);
    }
    s24_mat matrix(const char *name) const
    {
        s24_mat view;
        check(s24_result_matrix(get(), name, &view));
        return view;
    }
    double number(const char *name) const
    {
        double value;
        check(s24_result_float(get(), name, &value));
        return value;
    }
    std::string text(const char *name) const
    {
        const char *value;
        check(s24_result_str(get(), name, &value));
        return value;
    }
};

class Solver : public Handle<s24_solver, s24_solver_destroy>
{
  public:
    // Return true to stop. What it throws leaves solve(): no exception crosses the C library.
    typedef std::function<bool(const std::string &phase, int64_t step, int64_t total)> Progress;

    Solver(const Context &ctx, const char *name, const std::string &options = "")
    {
        make(s24_solver_create, ctx.get(), name);
        check(s24_solver_parse(get(), options.c_str()));
    }
    Result solve(const Problem &problem, Progress progress = nullptr)
    {
        Watch watch = {std::move(progress), nullptr};
        check(s24_solver_set_progress(get(), watch.progress ? step : nullptr, &watch));
        try {
            Result result(get(), problem.get());
            end(watch);
            return result;
        } catch (const Error &) {
            end(watch);
            throw;
        }
    }
    // From any thread.
    void cancel() noexcept
    {
        s24_solver_cancel(get());
    }

  private:
    struct Watch {
        Progress progress;
        std::exception_ptr thrown;
    };
    static int32_t step(void *user, const char *phase, int64_t step, int64_t total, double, double)
    {
        Watch *watch = static_cast<Watch *>(user);
        try {
            return watch->progress(phase, step, total);
        } catch (...) {
            watch->thrown = std::current_exception();
            return 1;
        }
    }
    void end(const Watch &watch)
    {
        s24_solver_set_progress(get(), nullptr, nullptr);
        if (watch.thrown)
            std::rethrow_exception(watch.thrown);
    }
};

class Packed : public Handle<s24_packed, s24_packed_destroy>
{
  public:
    struct Part {
        std::string name;
        const void *data;
        size_t size;
    };

    Packed(const Context &ctx, const s24_mat &w, const std::string &layout)
    {
        make(s24_pack, ctx.get(), &w, static_cast<const s24_mat *>(nullptr), layout.c_str());
    }
    Packed(const Context &ctx, const Result &result, const std::string &layout)
    {
        make(s24_pack_result, ctx.get(), result.get(), layout.c_str());
    }
    std::vector<Part> parts() const
    {
        std::vector<Part> all;
        for (int32_t i = 0;; i++) {
            const char *name;
            Part part;
            check(s24_packed_part(get(), i, &name, &part.data, &part.size));
            if (!name)
                return all;
            part.name = name;
            all.push_back(part);
        }
    }
    void unpack(const s24_mat &w) const
    {
        check(s24_unpack(get(), &w));
    }
    void multiply(const s24_mat &x, const s24_mat &y) const
    {
        check(s24_packed_multiply(get(), &x, &y));
    }
};

} // namespace sparse24

#endif
