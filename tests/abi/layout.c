/* What compiled programs and ctypes declarations know by number: sizes, offsets, constants. It
 * compiles, or the interface has changed. */
#include <sparse24/sparse24.h>

#define SAME(what, number) _Static_assert((what) == (number), #what " has changed")

SAME(sizeof(s24_mat), 64);
SAME(_Alignof(s24_mat), 8);
SAME(offsetof(s24_mat, data), 0);
SAME(offsetof(s24_mat, rows), 8);
SAME(offsetof(s24_mat, cols), 16);
SAME(offsetof(s24_mat, row_stride), 24);
SAME(offsetof(s24_mat, col_stride), 32);
SAME(offsetof(s24_mat, dtype), 40);
SAME(offsetof(s24_mat, device), 44);
SAME(offsetof(s24_mat, device_id), 48);
SAME(offsetof(s24_mat, flags), 52);
SAME(offsetof(s24_mat, reserved), 56);
SAME(sizeof(s24_status), 4);
SAME((s24_status)-1 < 0, 1);
SAME(sizeof(void *), 8);

SAME(S24_OK, 0);
SAME(S24_E_ARG, -1);
SAME(S24_E_MEMORY, -2);
SAME(S24_E_OPTION, -3);
SAME(S24_E_SHAPE, -4);
SAME(S24_E_DTYPE, -5);
SAME(S24_E_NONFINITE, -6);
SAME(S24_E_NUMERIC, -7);
SAME(S24_E_STATE, -8);
SAME(S24_E_CANCELLED, -9);
SAME(S24_E_UNSUPPORTED, -10);
SAME(S24_E_IO, -11);
SAME(S24_E_FORMAT, -12);
SAME(S24_E_BACKEND, -13);
SAME(S24_E_INTERNAL, -14);
SAME(S24_E_USER, -100);

SAME(S24_I8, 0x0008);
SAME(S24_I16, 0x0010);
SAME(S24_I32, 0x0020);
SAME(S24_I64, 0x0040);
SAME(S24_U8, 0x0108);
SAME(S24_U16, 0x0110);
SAME(S24_U32, 0x0120);
SAME(S24_F16, 0x0210);
SAME(S24_F32, 0x0220);
SAME(S24_F64, 0x0240);
SAME(S24_BF16, 0x0410);
SAME(S24_BOOL, 0x0608);
SAME(S24_E4M3FN, 0x0A08);
SAME(S24_E5M2, 0x0C08);
SAME(S24_CPU, 1);
SAME(S24_CUDA, 2);
SAME(S24_CUDA_HOST, 3);
SAME(S24_CUDA_MANAGED, 13);

SAME(S24_OPT_INT, 1);
SAME(S24_OPT_FLOAT, 2);
SAME(S24_OPT_STR, 3);
SAME(S24_RESULT_MATRIX, 1);
SAME(S24_RESULT_INT, 2);
SAME(S24_RESULT_FLOAT, 3);
SAME(S24_RESULT_STR, 4);

int main(void)
{
    /* The library is of these headers. */
    return s24_api_version() != S24_API_VERSION;
}
