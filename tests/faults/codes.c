/* The story of a quantised folder and of a big-endian file: read, and carried over as floats. */
#include "stories.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 32 inputs x 8 outputs of GPTQ, in one group. */
static const char header[] =
    "{\"a.qweight\":{\"dtype\":\"I32\",\"shape\":[4,8],\"data_offsets\":[0,128]},"
    "\"a.qzeros\":{\"dtype\":\"I32\",\"shape\":[1,1],\"data_offsets\":[128,132]},"
    "\"a.scales\":{\"dtype\":\"F16\",\"shape\":[1,8],\"data_offsets\":[132,148]},"
    "\"a.g_idx\":{\"dtype\":\"I32\",\"shape\":[32],\"data_offsets\":[148,276]},"
    "\"a.bias\":{\"dtype\":\"F16\",\"shape\":[8],\"data_offsets\":[276,292]},"
    "\"norm\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[292,300]}}";
static const char config[] = "{\"model_type\": \"llama\", \"quantization_config\": "
                             "{\"quant_method\": \"gptq\", \"bits\": 4}}";
static char codes[PATH_ROOM + 16], big[PATH_ROOM + 16];

static void write_file(const char *folder, const char *name, const void *bytes, size_t size)
{
    char path[2 * PATH_ROOM];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file))
        abort();
}

static void write_folder(void)
{
    unsigned char bytes[sizeof header + 8 + 300] = {(sizeof header - 1) & 255,
                                                    (sizeof header - 1) >> 8};
    char command[2 * PATH_ROOM];
    snprintf(command, sizeof command, "mkdir -p %s", codes);
    if (system(command))
        abort();
    memcpy(bytes + 8, header, sizeof header - 1);
    unsigned char *data = bytes + 8 + sizeof header - 1;
    for (int i = 0; i < 300; i++)
        data[i] = (unsigned char)(i < 148 || i >= 276 ? i * 37 % 120 : 0); /* g_idx: 0 */
    write_file(codes, "model.safetensors", bytes, 8 + sizeof header - 1 + 300);
    write_file(codes, "config.json", config, sizeof config - 1);
}

static void put_big(unsigned char **at, uint64_t value, int size)
{
    for (int i = size; i-- > 0;)
        *(*at)++ = (unsigned char)(value >> 8 * i);
}

/* One tensor "w" of Q8_0, 64 weights. */
static void write_big(const char *folder)
{
    unsigned char bytes[256] = "GGUF", *at = bytes + 4;
    put_big(&at, 3, 4);
    put_big(&at, 1, 8);
    put_big(&at, 0, 8);
    put_big(&at, 1, 8);
    *at++ = 'w';
    put_big(&at, 1, 4);
    put_big(&at, 64, 8);
    put_big(&at, 8, 4);
    put_big(&at, 0, 8);
    for (int i = 0; i < 68; i++)
        bytes[64 + i] = (unsigned char)(i * 29 % 100);
    snprintf(big, sizeof big, "%s/big.gguf", folder);
    write_file(folder, "big.gguf", bytes, 64 + 68);
}

void codes_write(const char *folder)
{
    snprintf(codes, sizeof codes, "%s/codes", folder);
    write_folder();
    write_big(folder);
}

/* ---- Steps ---- */

static s24_status open_codes(void)
{
    return s24_file_open(scene.ctx, codes, &scene.file);
}

static s24_status ask(void)
{
    return s24_file_check_read(scene.file, "a.weight");
}

static s24_status read_weight(void)
{
    s24_mat to = plain(scene.out, 8, 32, S24_F32);
    s24_status status = s24_file_read(scene.file, "a.weight", &to);
    if (!status)
        digest_bytes(scene.out, 8 * 32 * sizeof(float));
    return status;
}

static s24_status read_narrow(void)
{
    s24_mat to = plain(scene.half, 8, 32, S24_BF16);
    s24_status status = s24_file_read(scene.file, "a.weight", &to);
    if (!status)
        digest_bytes(scene.half, 8 * 32 * sizeof(uint16_t));
    return status;
}

static s24_status make_copy(void)
{
    return s24_file_create(scene.ctx, told.path, told.format, &scene.second);
}

static s24_status check_copy(void)
{
    return s24_file_check_copy(scene.second, scene.file);
}

static s24_status carry_over(void)
{
    return s24_file_copy_meta(scene.second, scene.file);
}

static s24_status put_weight(void)
{
    return s24_file_put_stored(scene.second, scene.file, "a.weight");
}

static s24_status put_bias(void)
{
    return s24_file_put_stored(scene.second, scene.file, "a.bias");
}

static s24_status put_norm(void)
{
    return s24_file_put_stored(scene.second, scene.file, "norm");
}

static s24_status commit_copy(void)
{
    return s24_file_commit(scene.second);
}

static s24_status shut(void)
{
    s24_file_destroy(scene.file);
    scene.file = NULL;
    return S24_OK;
}

static s24_status open_big(void)
{
    return s24_file_open(scene.ctx, big, &scene.file);
}

static s24_status read_big(void)
{
    s24_mat to = plain(scene.out, 1, 64, S24_F32);
    s24_status status = s24_file_read(scene.file, "w", &to);
    if (!status)
        digest_bytes(scene.out, 64 * sizeof(float));
    return status;
}

const step_fn codes_steps[] = {make_ctx,    set_threads, open_codes,  ask,        read_weight,
                               read_narrow, make_copy,   check_copy,  carry_over, put_weight,
                               put_bias,    put_norm,    commit_copy, shut,       open_big,
                               read_big,    shut,        NULL};
