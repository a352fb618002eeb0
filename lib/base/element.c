#include "element.h"
#include <string.h>

/* safetensors: all that the format's own implementation knows; 4 and 6 bits are packed. GGUF: every
 * type that files may hold; those without a code are listed and copied, not read. */
static const s24i_element elements[] = {
    {"F64", 64, 1, S24_F64, true, 28, "S24_F64"},
    {"F32", 32, 1, S24_F32, true, 0, "S24_F32"},
    {"F16", 16, 1, S24_F16, true, 1, "S24_F16"},
    {"BF16", 16, 1, S24_BF16, true, 30, "S24_BF16"},
    {"I64", 64, 1, S24_I64, true, 27, "S24_I64"},
    {"I32", 32, 1, S24_I32, true, 26, "S24_I32"},
    {"I16", 16, 1, S24_I16, true, 25, "S24_I16"},
    {"I8", 8, 1, S24_I8, true, 24, "S24_I8"},
    {"U64", 64, 1, 0, true, -1},
    {"U32", 32, 1, S24_U32, true, -1, "S24_U32"},
    {"U16", 16, 1, S24_U16, true, -1, "S24_U16"},
    {"U8", 8, 1, S24_U8, true, -1, "S24_U8"},
    {"BOOL", 8, 1, S24_BOOL, true, -1, "S24_BOOL"},
    {"F8_E4M3", 8, 1, S24_E4M3FN, true, -1, "S24_E4M3FN"},
    {"F8_E5M2", 8, 1, S24_E5M2, true, -1, "S24_E5M2"},
    {"F8_E4M3FNUZ", 8, 1, 0, true, -1},
    {"F8_E5M2FNUZ", 8, 1, 0, true, -1},
    {"F8_E8M0", 8, 1, 0, true, -1},
    {"F6_E2M3", 6, 1, 0, true, -1},
    {"F6_E3M2", 6, 1, 0, true, -1},
    {"F4", 4, 1, 0, true, -1},
    {"C64", 64, 1, 0, true, -1},
    {"Q4_0", 18 * 8, 32, 0, false, 2, NULL, s24i_decode_q4_0, s24i_encode_q4_0},
    {"Q4_1", 20 * 8, 32, 0, false, 3, NULL, s24i_decode_q4_1, s24i_encode_q4_1},
    {"Q5_0", 22 * 8, 32, 0, false, 6, NULL, s24i_decode_q5_0},
    {"Q5_1", 24 * 8, 32, 0, false, 7, NULL, s24i_decode_q5_1},
    {"Q8_0", 34 * 8, 32, 0, false, 8, NULL, s24i_decode_q8_0, s24i_encode_q8_0},
    {"Q8_1", 36 * 8, 32, 0, false, 9},
    {"Q2_K", 84 * 8, 256, 0, false, 10, NULL, s24i_decode_q2_k},
    {"Q3_K", 110 * 8, 256, 0, false, 11, NULL, s24i_decode_q3_k},
    {"Q4_K", 144 * 8, 256, 0, false, 12, NULL, s24i_decode_q4_k},
    {"Q5_K", 176 * 8, 256, 0, false, 13, NULL, s24i_decode_q5_k},
    {"Q6_K", 210 * 8, 256, 0, false, 14, NULL, s24i_decode_q6_k},
    {"Q8_K", 292 * 8, 256, 0, false, 15},
    {"IQ2_XXS", 66 * 8, 256, 0, false, 16, NULL, s24i_decode_iq2_xxs},
    {"IQ2_XS", 74 * 8, 256, 0, false, 17, NULL, s24i_decode_iq2_xs},
    {"IQ3_XXS", 98 * 8, 256, 0, false, 18, NULL, s24i_decode_iq3_xxs},
    {"IQ1_S", 50 * 8, 256, 0, false, 19, NULL, s24i_decode_iq1_s},
    {"IQ4_NL", 18 * 8, 32, 0, false, 20, NULL, s24i_decode_iq4_nl},
    {"IQ3_S", 110 * 8, 256, 0, false, 21, NULL, s24i_decode_iq3_s},
    {"IQ2_S", 82 * 8, 256, 0, false, 22, NULL, s24i_decode_iq2_s},
    {"IQ4_XS", 136 * 8, 256, 0, false, 23, NULL, s24i_decode_iq4_xs},
    {"IQ1_M", 56 * 8, 256, 0, false, 29, NULL, s24i_decode_iq1_m},
    {"Q4_0_4_4", 18 * 8, 32, 0, false, 31},
    {"Q4_0_4_8", 18 * 8, 32, 0, false, 32},
    {"Q4_0_8_8", 18 * 8, 32, 0, false, 33},
    {"TQ1_0", 54 * 8, 256, 0, false, 34, NULL, s24i_decode_tq1_0},
    {"TQ2_0", 66 * 8, 256, 0, false, 35, NULL, s24i_decode_tq2_0},
    {"IQ4_NL_4_4", 18 * 8, 32, 0, false, 36},
    {"IQ4_NL_4_8", 18 * 8, 32, 0, false, 37},
    {"IQ4_NL_8_8", 18 * 8, 32, 0, false, 38},
    {"MXFP4", 17 * 8, 32, 0, false, 39, NULL, s24i_decode_mxfp4},
    {"NVFP4", 36 * 8, 64, 0, false, 40, NULL, s24i_decode_nvfp4},
    {"Q1_0", 18 * 8, 128, 0, false, 41},
};

const s24i_element s24i_element_of_safetensors = {"unknown", 0, 1, 0, true, -1};
const s24i_element s24i_element_of_gguf = {"unknown", 0, 1, 0, false, INT32_MAX};

enum { ELEMENTS = sizeof elements / sizeof *elements };

const s24i_element *s24i_element_by_name(const char *name)
{
    for (int i = 0; i < ELEMENTS; i++) {
        if (!strcmp(elements[i].name, name))
            return &elements[i];
    }
    return NULL;
}

const s24i_element *s24i_element_by_dtype(int32_t dtype)
{
    for (int i = 0; i < ELEMENTS && dtype; i++) {
        if (elements[i].dtype == dtype)
            return &elements[i];
    }
    return NULL;
}

const s24i_element *s24i_element_by_gguf(uint32_t number)
{
    for (int i = 0; i < ELEMENTS; i++) {
        if (elements[i].gguf >= 0 && (uint32_t)elements[i].gguf == number)
            return &elements[i];
    }
    return NULL;
}
