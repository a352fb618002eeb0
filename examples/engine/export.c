/* The bytes that an engine stores or uploads: one 2:4 matrix in every layout of this build, each part as a file in FOLDER.
 * Usage: export [LAYERS.safetensors [FOLDER]] */
#include <sparse24/sparse24.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(s24_status status)
{
    if (status == S24_OK)
        return;
    fprintf(stderr, "%s: %s\n", s24_status_name(status), s24_last_error());
    exit(1);
}

static void write_part(const char *folder, const char *layout, const char *name, const void *data,
                       size_t size)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s.%s", folder, layout, name);
    FILE *stream = fopen(path, "wb");
    if (!stream || fwrite(data, 1, size, stream) != size || fclose(stream)) {
        perror(path);
        exit(1);
    }
}

static void export(s24_ctx *ctx, const s24_mat *w, const s24_mat *mask, const char *layout,
                   const char *folder)
{
    s24_packed *packed;
    const char *name;
    const void *data;
    size_t size;
    s24_status status = s24_pack(ctx, w, mask, layout, &packed);
    printf("%-20s", layout);
    if (status) { /* a layout may want another shape, or what only a quantised result has */
        printf(" %s\n", s24_last_error());
        return;
    }
    for (int32_t i = 0; s24_packed_part(packed, i, &name, &data, &size) == S24_OK && name; i++) {
        printf(" %s %zu bytes", name, size);
        if (folder)
            write_part(folder, layout, name, data, size);
    }
    puts("");
    s24_packed_destroy(packed);
}

int main(int argc, char **argv)
{
    static uint16_t v[192 * 576];
    static uint8_t m[192 * 576];
    char layouts[1000];
    s24_ctx *ctx;
    s24_file *file;
    s24_mat w, x, mask;
    must(s24_ctx_create(&ctx));
    must(s24_file_open(ctx, argc > 1 ? argv[1] : "examples/data/smollm2-block10-small.safetensors",
                       &file));
    must(s24_mat_rowmajor(&w, v, 192, 576, S24_F16));
    must(s24_mat_rowmajor(&mask, m, 192, 576, S24_U8));
    must(s24_file_read(file, "w.k", &w));
    must(s24_file_get(file, "x.attn", &x));
    must(s24_compress(ctx, "wanda", NULL, "2:4", &x, &w, NULL));
    for (int i = 0; i < 192 * 576; i++)
        m[i] = v[i] != 0;

    snprintf(layouts, sizeof layouts, "%s", s24_build_info("layouts"));
    for (char *layout = strtok(layouts, ","); layout; layout = strtok(NULL, ","))
        export(ctx, &w, &mask, layout, argc > 2 ? argv[2] : NULL);
    s24_file_destroy(file);
    s24_ctx_destroy(ctx);
    return 0;
}
