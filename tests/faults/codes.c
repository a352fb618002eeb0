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
static char codes[PATH_ROOM + 16], big[PATH_ROOM + 16], tied[PATH_ROOM + 16];

/* An embedding of integers in compressed-tensors, and a head that has its scales only. */
static const char tied_header[] =
    "{\"e.weight\":{\"dtype\":\"I8\",\"shape\":[4,32],\"data_offsets\":[0,128]},"
    "\"e.weight_scale\":{\"dtype\":\"F16\",\"shape\":[4,1],\"data_offsets\":[128,136]},"
    "\"h.weight_scale\":{\"dtype\":\"F16\",\"shape\":[4,1],\"data_offsets\":[136,144]}}";
static const char tied_config[] =
    "{\"quantization_config\": {\"quant_method\": \"compressed-tensors\", \"format\": "
    "\"int-quantized\", \"config_groups\": {\"group_0\": {\"weights\": {\"num_bits\": 8, \"type\": "
    "\"int\"}}}}}";

static void write_file(const char *folder, const char *name, const void *bytes, size_t size)
{
    char path[2 * PATH_ROOM];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file))
        abort();
}

/* A model of these tensors and this configuration. */
static void write_model(const char *folder, const char *tensors, const unsigned char *data,
                        size_t size, const char *settings)
{
    size_t length = strlen(tensors);
    unsigned char bytes[1024] = {length & 255, (unsigned char)(length >> 8)};
    char command[2 * PATH_ROOM];
    snprintf(command, sizeof command, "mkdir -p %s", folder);
    if (system(command) || 8 + length + size > sizeof bytes)
        abort();
    memcpy(bytes + 8, tensors, length);
    memcpy(bytes + 8 + length, data, size);
    write_file(folder, "model.safetensors", bytes, 8 + length + size);
    write_file(folder, "config.json", settings, strlen(settings));
}

static void write_folders(void)
{
    unsigned char data[300], same[144];
    for (int i = 0; i < 300; i++)
        data[i] = (unsigned char)(i < 148 || i >= 276 ? i * 37 % 120 : 0); /* g_idx: 0 */
    for (int i = 0; i < 144; i++)
        same[i] = (unsigned char)((i < 136 ? i : i - 8) * 29 % 100);
    write_model(codes, header, data, sizeof data, config);
    write_model(tied, tied_header, same, sizeof same, tied_config);
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
    snprintf(tied, sizeof tied, "%s/tied", folder);
    write_folders();
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

static s24_status open_tied(void)
{
    return s24_file_open(scene.ctx, tied, &scene.file);
}

/* The head's scales are no tensor of the model. */
static s24_status read_tied(void)
{
    s24_mat to = plain(scene.out, 4, 32, S24_F32);
    s24_status status = s24_file_read(scene.file, "e.weight", &to);
    if (!status)
        digest_bytes(scene.out, 4 * 32 * sizeof(float));
    return status ? status : s24_file_count(scene.file) == 1 ? S24_OK : S24_E_FORMAT;
}

const step_fn codes_steps[] = {
    make_ctx,   set_threads, open_codes, ask,       read_weight, read_narrow, make_copy,
    check_copy, carry_over,  put_weight, put_bias,  put_norm,    commit_copy, shut,
    open_big,   read_big,    shut,       open_tied, read_tied,   shut,        NULL};
