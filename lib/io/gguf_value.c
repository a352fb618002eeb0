#include "base/error.h"
#include "base/number.h"
#include "gguf.h"
#include <string.h>

enum { MAX_DEPTH = 4 }; /* of arrays in arrays; files in use have 1 */

/* Bytes of one value; 0: it depends. */
static const uint32_t sizes[S24I_GGUF_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

uint32_t s24i_gguf_size(uint32_t type)
{
    return type < S24I_GGUF_TYPES ? sizes[type] : 0;
}

static uint64_t little(const unsigned char *bytes, uint32_t size)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < size; i++)
        value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

static s24_status too_short(const s24i_cursor *cursor, const char *what, uint64_t wanted)
{
    return s24i_fail(S24_E_FORMAT,
                     "byte %llu: %s needs %llu bytes, the file has %llu more: is it whole?",
                     (unsigned long long)(cursor->at - cursor->start), what,
                     (unsigned long long)wanted, (unsigned long long)(cursor->end - cursor->at));
}

static s24_status take(s24i_cursor *cursor, uint32_t size, uint64_t *value)
{
    if ((uint64_t)(cursor->end - cursor->at) < size)
        return too_short(cursor, "a number", size);
    *value = little(cursor->at, size);
    cursor->at += size;
    return S24_OK;
}

s24_status s24i_take_u32(s24i_cursor *cursor, uint32_t *value)
{
    uint64_t wide = 0;
    s24_status status = take(cursor, 4, &wide);

    if (!status)
        *value = (uint32_t)wide;
    return status;
}

s24_status s24i_take_u64(s24i_cursor *cursor, uint64_t *value)
{
    return take(cursor, 8, value);
}

s24_status s24i_take_bytes(s24i_cursor *cursor, const unsigned char **bytes, uint64_t *size)
{
    s24_status status = take(cursor, 8, size);

    if (status)
        return status;
    if (*size > (uint64_t)(cursor->end - cursor->at))
        return too_short(cursor, "a string", *size);
    *bytes = cursor->at;
    cursor->at += *size;
    return S24_OK;
}

static s24_status check_type(const s24i_cursor *cursor, uint32_t type)
{
    return type < S24I_GGUF_TYPES
               ? S24_OK
               : s24i_fail(S24_E_FORMAT, "byte %llu: metadata type %u is not in 0 .. %d",
                           (unsigned long long)(cursor->at - cursor->start - 4), (unsigned)type,
                           S24I_GGUF_TYPES - 1);
}

static s24_status skip_values(s24i_cursor *cursor, uint32_t type, uint64_t count, int depth);

static s24_status skip_array(s24i_cursor *cursor, int depth)
{
    uint32_t type = 0;
    uint64_t count = 0;
    s24_status status = s24i_take_u32(cursor, &type);

    if (!status)
        status = check_type(cursor, type);
    if (!status)
        status = s24i_take_u64(cursor, &count);
    if (!status && depth == MAX_DEPTH)
        status = s24i_fail(S24_E_FORMAT, "byte %llu: arrays nested more than %d deep",
                           (unsigned long long)(cursor->at - cursor->start), MAX_DEPTH);
    return status ? status : skip_values(cursor, type, count, depth + 1);
}

static s24_status skip_fixed(s24i_cursor *cursor, uint32_t type, uint64_t count)
{
    uint64_t size = sizes[type];

    if (count > (uint64_t)(cursor->end - cursor->at) / size)
        return s24i_fail(
            S24_E_FORMAT, "byte %llu: %llu values of %llu bytes, the file has %llu bytes more",
            (unsigned long long)(cursor->at - cursor->start), (unsigned long long)count,
            (unsigned long long)size, (unsigned long long)(cursor->end - cursor->at));
    for (uint64_t i = 0; i < count && type == S24I_GGUF_BOOL; i++) {
        if (cursor->at[i] > 1)
            return s24i_fail(S24_E_FORMAT, "byte %llu: a bool is %d",
                             (unsigned long long)(cursor->at - cursor->start) + i, cursor->at[i]);
    }
    cursor->at += count * size;
    return S24_OK;
}

/* Every string and array takes bytes of its own, so that no count makes this run past the file's
 * size. */
static s24_status skip_values(s24i_cursor *cursor, uint32_t type, uint64_t count, int depth)
{
    const unsigned char *bytes;
    uint64_t size = 0;
    s24_status status = S24_OK;

    if (sizes[type])
        return skip_fixed(cursor, type, count);
    for (uint64_t i = 0; !status && i < count; i++)
        status = type == S24I_GGUF_STRING ? s24i_take_bytes(cursor, &bytes, &size)
                                          : skip_array(cursor, depth);
    return status;
}

s24_status s24i_take_value(s24i_cursor *cursor, s24i_gguf_value *value)
{
    s24_status status = s24i_take_u32(cursor, &value->type);

    if (!status)
        status = check_type(cursor, value->type);
    value->bytes = cursor->at;
    if (!status)
        status = skip_values(cursor, value->type, 1, 0);
    value->size = (uint64_t)(cursor->at - value->bytes);
    return status;
}

bool s24i_gguf_alignment_fits(uint64_t alignment)
{
    return alignment && alignment <= 1 << 20 && !(alignment & (alignment - 1));
}

/* ---- As text. ---- */

static int64_t sign_extend(uint64_t bits, uint32_t size)
{
    int shift = 64 - 8 * (int)size;

    return (int64_t)(bits << shift) >> shift;
}

static void append_float(s24i_text *text, uint32_t type, uint64_t bits, bool json)
{
    char spelling[S24I_NUMBER_SIZE];
    uint32_t word = (uint32_t)bits;
    float narrow;
    double value;

    memcpy(&narrow, &word, sizeof narrow);
    memcpy(&value, &bits, sizeof value);
    if (type == S24I_GGUF_F32) {
        s24i_number_write_f32(spelling, narrow);
        value = narrow;
    } else {
        s24i_number_write(spelling, value);
    }
    s24i_text_append(text, "%s", json && value - value != 0 ? "null" : spelling);
}

static void append_number(s24i_text *text, uint32_t type, const unsigned char *bytes, bool json)
{
    uint64_t bits = little(bytes, sizes[type]);

    switch (type) {
    case S24I_GGUF_BOOL:
        s24i_text_append(text, bits ? "true" : "false");
        break;
    case S24I_GGUF_F32:
    case S24I_GGUF_F64:
        append_float(text, type, bits, json);
        break;
    case S24I_GGUF_I8:
    case S24I_GGUF_I16:
    case S24I_GGUF_I32:
    case S24I_GGUF_I64:
        s24i_text_append(text, "%lld", (long long)sign_extend(bits, sizes[type]));
        break;
    default:
        s24i_text_append(text, "%llu", (unsigned long long)bits);
    }
}

/* The array at *at, which moves behind it. */
static void append_array(s24i_text *text, const unsigned char **at)
{
    uint32_t type = (uint32_t)little(*at, 4);
    uint64_t count = little(*at + 4, 8);

    *at += 12;
    s24i_text_append(text, "[");
    for (uint64_t i = 0; i < count && !text->failed; i++) {
        if (i)
            s24i_text_append(text, ",");
        if (type == S24I_GGUF_ARRAY) {
            append_array(text, at);
        } else if (type == S24I_GGUF_STRING) {
            uint64_t size = little(*at, 8);
            s24i_text_json_bytes(text, (const char *)*at + 8, size);
            *at += 8 + size;
        } else {
            append_number(text, type, *at, true);
            *at += sizes[type];
        }
    }
    s24i_text_append(text, "]");
}

void s24i_gguf_value_text(const s24i_gguf_value *value, s24i_text *text)
{
    const unsigned char *at = value->bytes;

    if (value->type == S24I_GGUF_ARRAY) {
        append_array(text, &at);
    } else if (value->type == S24I_GGUF_STRING) {
        s24i_text_append(text, "%s", ""); /* a text, even if empty */
        s24i_text_utf8(text, (const char *)at + 8, value->size - 8);
    } else {
        append_number(text, value->type, at, false);
    }
}
