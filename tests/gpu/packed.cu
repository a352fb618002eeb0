/* The layout cutlass-sm80 on the hardware it is for: CUTLASS's sparse product of what s24_pack() made against the same sums in integers. All
 * values are small integers, so that every product and sum is exact in each type and the two must be equal. */
#include <cstdio>
#include <cstdlib>
#include <vector>
#include <cutlass/cutlass.h>
#include <cutlass/gemm/device/gemm_sparse.h>
#include <sparse24/sparse24.h>

static s24_ctx *ctx;
static int passed, failed;

static void ok(s24_status status)
{
    if (status != S24_OK) {
        std::fprintf(stderr, "%s: %s\n", s24_status_name(status), s24_last_error());
        std::exit(1);
    }
}

static void ok(cudaError_t error)
{
    if (error != cudaSuccess) {
        std::fprintf(stderr, "%s\n", cudaGetErrorString(error));
        std::exit(1);
    }
}

static uint32_t random_bits()
{
    static uint32_t state = 1;
    state ^= state << 13;
    state ^= state >> 17;
    return state ^= state << 5;
}

/* At most `kept` of each `group` columns, often fewer. */
static std::vector<int> sparse_integers(int rows, int cols, int kept, int group)
{
    std::vector<int> w(size_t(rows) * cols, 0);
    for (size_t g = 0; g < w.size(); g += group)
        for (int k = 0; k < kept; k++)
            w[g + random_bits() % group] = int(random_bits() % 17) - 8;
    return w;
}

static std::vector<int> integers(int rows, int cols)
{
    std::vector<int> x(size_t(rows) * cols);
    for (int &value : x)
        value = int(random_bits() % 9) - 4;
    return x;
}

template <typename T> static T *upload(const T *data, size_t count)
{
    T *device;
    ok(cudaMalloc(&device, count * sizeof(T)));
    ok(cudaMemcpy(device, data, count * sizeof(T), cudaMemcpyHostToDevice));
    return device;
}

template <typename T> static T exactly(int value)
{
    return T(float(value));
}

/* CUTLASS's conversion sets a bit below the precision, in zeros as well. */
template <> cutlass::tfloat32_t exactly(int value)
{
    float number = float(value);
    return reinterpret_cast<const cutlass::tfloat32_t &>(number);
}

template <typename T> static std::vector<T> as(const std::vector<int> &values)
{
    std::vector<T> out;
    for (int value : values)
        out.push_back(exactly<T>(value));
    return out;
}

/* W (rows, cols) packed times X^T (cols, tokens) as CUTLASS does it on tiles of K columns, instructions of k. */
template <typename Element, typename Sum, int K, int k> struct device_product {
    using gemm = cutlass::gemm::device::SparseGemm<
        Element, cutlass::layout::RowMajor, Element, cutlass::layout::ColumnMajor, Sum,
        cutlass::layout::RowMajor, Sum, cutlass::arch::OpClassTensorOp, cutlass::arch::Sm80,
        cutlass::gemm::GemmShape<128, 128, K>, cutlass::gemm::GemmShape<64, 64, K>,
        cutlass::gemm::GemmShape<16, 8, k>,
        cutlass::epilogue::thread::LinearCombination<Sum, 4, Sum, Sum>,
        cutlass::gemm::threadblock::GemmIdentityThreadblockSwizzle<>, 3>;
    using meta = typename gemm::ElementE;

    static std::vector<Sum> run(const s24_packed *packed, int rows, int cols,
                                const std::vector<Element> &x, int tokens)
    {
        const char *name;
        const void *values, *places;
        size_t value_bytes, place_bytes;
        ok(s24_packed_part(packed, 0, &name, &values, &value_bytes));
        ok(s24_packed_part(packed, 1, &name, &places, &place_bytes));
        Element *a = upload(static_cast<const Element *>(values), value_bytes / sizeof(Element));
        meta *e = upload(static_cast<const meta *>(places), place_bytes / sizeof(meta));
        Element *b = upload(x.data(), x.size());
        std::vector<Sum> y(size_t(rows) * tokens, Sum(-1));
        Sum *d = upload(y.data(), y.size());
        int words = cols / gemm::kSparse / gemm::kElementsPerElementE;
        typename gemm::Arguments arguments{{rows, tokens, cols},
                                           {a, cols / gemm::kSparse},
                                           {b, cols},
                                           {d, tokens},
                                           {d, tokens},
                                           {e, gemm::LayoutE::packed({rows, words})},
                                           {Sum(1), Sum(0)}};
        gemm product;
        bool done = place_bytes == size_t(rows) * words * sizeof(meta) &&
                    product.can_implement(arguments) == cutlass::Status::kSuccess &&
                    product.initialize(arguments) == cutlass::Status::kSuccess &&
                    product() == cutlass::Status::kSuccess;
        ok(cudaDeviceSynchronize());
        ok(cudaMemcpy(y.data(), d, y.size() * sizeof(Sum), cudaMemcpyDeviceToHost));
        for (void *block : {(void *)a, (void *)e, (void *)b, (void *)d})
            ok(cudaFree(block));
        return done ? y : std::vector<Sum>();
    }
};

template <typename Element, typename Sum, int K, int k>
static void check(const char *name, int32_t dtype, int rows, int cols)
{
    const int tokens = 96, group = dtype == S24_F32 ? 2 : 4;
    std::vector<int> w = sparse_integers(rows, cols, group / 2, group), x = integers(tokens, cols);
    std::vector<Element> stored = as<Element>(w);
    s24_mat mat;
    s24_packed *packed;
    ok(s24_mat_rowmajor(&mat, stored.data(), rows, cols, dtype));
    ok(s24_pack(ctx, &mat, nullptr, "cutlass-sm80", &packed));
    std::vector<Sum> y =
        device_product<Element, Sum, K, k>::run(packed, rows, cols, as<Element>(x), tokens);
    s24_packed_destroy(packed);
    int64_t wrong = y.empty() ? int64_t(rows) * tokens : 0;
    for (int i = 0; i < rows && !y.empty(); i++)
        for (int t = 0; t < tokens; t++) {
            int sum = 0;
            for (int j = 0; j < cols; j++)
                sum += w[size_t(i) * cols + j] * x[size_t(t) * cols + j];
            wrong += y[size_t(i) * tokens + t] != Sum(sum);
        }
    std::printf("%s - %s %d x %d: %lld of %d outputs differ\n", wrong ? "not ok" : "ok", name, rows,
                cols, (long long)wrong, rows * tokens);
    wrong ? failed++ : passed++;
}

int main()
{
    cudaDeviceProp device;
    ok(s24_ctx_create(&ctx));
    ok(cudaGetDeviceProperties(&device, 0));
    std::printf("%s, compute capability %d.%d\n", device.name, device.major, device.minor);
    for (int times : {1, 2, 3, 9}) {
        check<cutlass::half_t, float, 64, 32>("f16", S24_F16, 32 * times, 64 * times);
        check<cutlass::bfloat16_t, float, 64, 32>("bf16", S24_BF16, 32 * times, 64 * times);
        check<int8_t, int32_t, 128, 64>("i8", S24_I8, 16 * times, 128 * times);
        check<cutlass::tfloat32_t, float, 32, 16>("f32", S24_F32, 32 * times, 32 * times);
    }
    s24_ctx_destroy(ctx);
    std::printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
