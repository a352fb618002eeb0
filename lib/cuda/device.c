#include "cuda.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Opening and closing a GPU, its memory, errors, and the way of bytes between it and the host. */

enum { OLDEST = 75 }; /* compute capability */
#define WORKSPACE ((size_t)32 << 20)

const s24i_host *s24c_host;

/* ---- Errors ---- */

static s24_status refuse(const s24c_state *state, bool memory, const char *what, const char *text)
{
    return s24i_fail(memory ? S24_E_MEMORY : S24_E_BACKEND, "%s: %s: %s", state->name, what, text);
}

s24_status s24c_cuda(const s24c_state *state, cudaError_t error, const char *what)
{
    if (error == cudaSuccess)
        return S24_OK;
    cudaGetLastError(); /* so that the next call does not report it again */
    return refuse(state, error == cudaErrorMemoryAllocation, what, cudaGetErrorString(error));
}

s24_status s24c_blas(const s24c_state *state, cublasStatus_t error, const char *what)
{
    return error == CUBLAS_STATUS_SUCCESS ? S24_OK
                                          : refuse(state, error == CUBLAS_STATUS_ALLOC_FAILED, what,
                                                   cublasGetStatusString(error));
}

s24_status s24c_solver(const s24c_state *state, cusolverStatus_t error, const char *what)
{
    char text[40];

    if (error == CUSOLVER_STATUS_SUCCESS)
        return S24_OK;
    snprintf(text, sizeof text, "cuSOLVER status %d", (int)error);
    return refuse(state, error == CUSOLVER_STATUS_ALLOC_FAILED, what, text);
}

s24_status s24c_launched(const s24i_run *run, const char *what)
{
    return s24c_cuda(s24c_of(run), cudaGetLastError(), what);
}

/* ---- Bytes there and back ---- */

s24_status s24c_fetch(const s24i_run *run, const void *from, size_t size, void *to,
                      const char *what)
{
    s24c_state *state = s24c_of(run);
    cudaError_t error =
        cudaMemcpyAsync(state->landing[0], from, size, cudaMemcpyDefault, state->stream);

    if (!error)
        error = cudaStreamSynchronize(state->stream);
    if (!error)
        memcpy(to, state->landing[0], size);
    return s24c_cuda(state, error, what);
}

s24_status s24c_send(const s24i_run *run, const void *from, size_t size, void *to)
{
    s24c_state *state = s24c_of(run);
    cudaError_t error = cudaSuccess;

    for (size_t done = 0, turn = 0; done < size && !error; turn = !turn) {
        size_t part = size - done < S24C_LANDING ? size - done : S24C_LANDING;
        error = cudaEventSynchronize(state->landed[turn]);
        if (error)
            break;
        memcpy(state->landing[turn], (const char *)from + done, part);
        error = cudaMemcpyAsync((char *)to + done, state->landing[turn], part, cudaMemcpyDefault,
                                state->stream);
        if (!error)
            error = cudaEventRecord(state->landed[turn], state->stream);
        done += part;
    }
    if (!error) /* the landing is read from other functions too */
        error = cudaStreamSynchronize(state->stream);
    return s24c_cuda(state, error, "copying to the device");
}

static s24_status receive(const s24i_run *run, const void *from, size_t size, void *to)
{
    s24_status status = S24_OK;

    for (size_t done = 0; done < size && !status; done += S24C_LANDING) {
        size_t part = size - done < S24C_LANDING ? size - done : S24C_LANDING;
        status = s24c_fetch(run, (const char *)from + done, part, (char *)to + done,
                            "copying from the device");
    }
    return status;
}

s24_status s24c_op_upload(const s24i_run *run, const void *from, size_t size, void *to)
{
    return s24c_send(run, from, size, to);
}

s24_status s24c_op_download(const s24i_run *run, const void *from, size_t size, void *to)
{
    return receive(run, from, size, to);
}

s24_status s24c_place(const s24i_run *run, const void *data, bool *here)
{
    struct cudaPointerAttributes attributes = {0};
    const s24c_state *state = s24c_of(run);
    cudaError_t error = cudaPointerGetAttributes(&attributes, data);

    cudaGetLastError();
    *here = !error &&
            (attributes.type == cudaMemoryTypeDevice || attributes.type == cudaMemoryTypeManaged);
    if (*here && attributes.type == cudaMemoryTypeDevice && attributes.device != state->index)
        return s24i_fail(S24_E_ARG, "%s: the array lies on device %d", state->name,
                         attributes.device);
    return S24_OK;
}

/* ---- Memory ---- */

static void *device_alloc(void *user, size_t size, size_t align)
{
    const s24c_state *state = user;
    void *block = NULL;
    int before = 0;

    (void)align; /* CUDA gives 256 */
    cudaGetDevice(&before);
    cudaSetDevice(state->index);
    if (cudaMalloc(&block, size)) {
        cudaGetLastError();
        block = NULL;
    }
    cudaSetDevice(before);
    return block;
}

static void device_free(void *user, void *block, size_t size)
{
    const s24c_state *state = user;
    int before = 0;

    (void)size;
    cudaGetDevice(&before);
    cudaSetDevice(state->index);
    cudaFree(block);
    cudaSetDevice(before);
}

static int32_t enter(const s24i_device *device)
{
    const s24c_state *state = device->state;
    int before = 0;

    cudaGetDevice(&before);
    cudaSetDevice(state->index);
    return before;
}

static void leave(const s24i_device *device, int32_t before)
{
    (void)device;
    cudaSetDevice(before);
}

/* ---- Opening and closing ---- */

static s24_status check_device(s24c_state *state)
{
    int count = 0, major = 0, minor = 0;
    s24_status status = s24c_cuda(state, cudaGetDeviceCount(&count), "looking for devices");

    if (!status && state->index >= count)
        status = s24i_fail(S24_E_BACKEND, "%s: this machine has %d devices", state->name, count);
    if (!status)
        status = s24c_cuda(
            state, cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, state->index),
            "asking the device");
    if (!status)
        status = s24c_cuda(
            state, cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, state->index),
            "asking the device");
    if (!status && 10 * major + minor < OLDEST)
        status = s24i_fail(S24_E_BACKEND, "%s has compute capability %d.%d, 7.5 is needed",
                           state->name, major, minor);
    return status;
}

static s24_status make_arrays(s24c_state *state)
{
    cudaError_t error = cudaMalloc(&state->workspace, WORKSPACE);

    if (!error)
        error = cudaMalloc((void **)&state->numbers, S24C_NUMBERS * sizeof(uint64_t));
    for (int i = 0; i < 2 && !error; i++) {
        error = cudaMallocHost((void **)&state->landing[i], S24C_LANDING);
        if (!error)
            error = cudaEventCreateWithFlags(&state->landed[i], cudaEventDisableTiming);
    }
    return s24c_cuda(state, error, "opening the device");
}

static s24_status make_libraries(s24c_state *state)
{
    s24_status status = s24c_blas(state, cublasCreate(&state->blas), "opening cuBLAS");

    if (!status)
        status = s24c_blas(state, cublasSetStream(state->blas, state->stream), "cuBLAS");
    if (!status)
        status = s24c_blas(state, cublasSetWorkspace(state->blas, state->workspace, WORKSPACE),
                           "cuBLAS");
    if (!status)
        status = s24c_blas(state, cublasSetAtomicsMode(state->blas, CUBLAS_ATOMICS_NOT_ALLOWED),
                           "cuBLAS");
    if (!status)
        status = s24c_blas(state, cublasSetMathMode(state->blas, CUBLAS_DEFAULT_MATH), "cuBLAS");
    if (!status)
        status = s24c_solver(state, cusolverDnCreate(&state->solver), "opening cuSOLVER");
    if (!status)
        status = s24c_solver(state, cusolverDnSetStream(state->solver, state->stream), "cuSOLVER");
    return status;
}

static void drop(s24c_state *state)
{
    if (state->solver)
        cusolverDnDestroy(state->solver);
    if (state->blas)
        cublasDestroy(state->blas);
    for (int i = 0; i < 2; i++) {
        if (state->landed[i])
            cudaEventDestroy(state->landed[i]);
        cudaFreeHost(state->landing[i]);
    }
    cudaFree(state->numbers);
    cudaFree(state->workspace);
    if (state->stream)
        cudaStreamDestroy(state->stream);
}

static s24_status open_state(s24c_state *state)
{
    s24_status status = check_device(state);

    if (!status)
        status = s24c_cuda(state, cudaSetDevice(state->index), "choosing the device");
    if (!status)
        status = s24c_cuda(state, cudaStreamCreateWithFlags(&state->stream, cudaStreamNonBlocking),
                           "opening the device");
    if (!status)
        status = make_arrays(state);
    return status ? status : make_libraries(state);
}

static s24_status open_device(const s24i_host *host, int32_t index, s24i_device *device)
{
    s24i_memory first;
    int before = -1;

    s24c_host = host;
    s24i_memory_init(&first, NULL, NULL, NULL);
    s24c_state *state = s24i_alloc_zero(&first, sizeof *state);
    if (!state)
        return S24_E_MEMORY;
    state->index = index;
    snprintf(state->name, sizeof state->name, "cuda:%d", (int)index);
    s24i_memory_init(&state->memory, device_alloc, device_free, state);
    cudaGetDevice(&before);
    s24_status status = open_state(state);
    if (status) {
        drop(state);
        s24i_free(&first, state, sizeof *state);
    } else {
        device->name = state->name;
        device->memory = &state->memory;
        device->operations = &s24c_operations;
        device->state = state;
        device->forget = s24c_forget;
        device->enter = enter;
        device->leave = leave;
        device->sums_add = s24c_sums_add;
        device->sums_flush = s24c_sums_flush;
        device->sums_fetch = s24c_sums_fetch;
        device->host = false;
    }
    if (before >= 0)
        cudaSetDevice(before);
    cudaGetLastError();
    return status;
}

static void close_device(s24i_device *device)
{
    s24i_memory first;
    s24c_state *state = device->state;
    int32_t before = enter(device);

    s24i_memory_init(&first, NULL, NULL, NULL);
    drop(state);
    leave(device, before);
    s24i_free(&first, state, sizeof *state);
}

/* ---- The one symbol that is seen from outside ---- */

__attribute__((visibility("default"))) extern const s24i_backend S24I_BACKEND_SYMBOL;
const s24i_backend S24I_BACKEND_SYMBOL = {.signature = S24I_BACKEND_SIGNATURE,
                                          .version = "libsparse24-cuda",
                                          .kind = "cuda",
                                          .open = open_device,
                                          .close = close_device};
