/* Model folders for tests: what is in them and how they are opened. */
#ifndef S24_TESTS_FOLDERS_H
#define S24_TESTS_FOLDERS_H
#include "../scratch.h"
#include "io/folder.h"
#include <sys/stat.h>

/* Model folders in the scratch directory; removed, whatever is in them, before its own check. */
static char source[160], target[160];

static inline void set_up_folders(void)
{
    set_up();
    snprintf(source, sizeof source, "%s/source", directory);
    snprintf(target, sizeof target, "%s/target", directory);
    ck_assert_int_eq(mkdir(source, 0700), 0);
}

static inline void remove_all(const char *folder)
{
    DIR *d = opendir(folder);
    struct dirent *item;
    char name[512];

    while (d && (item = readdir(d))) {
        snprintf(name, sizeof name, "%s/%s", folder, item->d_name);
        unlink(name); /* not "." and "..", which are directories */
    }
    if (d)
        closedir(d);
    rmdir(folder);
}

static inline void tear_down_folders(void)
{
    remove_all(source);
    remove_all(target);
    tear_down();
}

/* "source/name" */
static inline const char *in_source(const char *name)
{
    static char place[400];

    snprintf(place, sizeof place, "%s/%s", source, name);
    return place;
}

static inline void write_text(const char *place, const char *text)
{
    FILE *f = fopen(place, "wb");

    ck_assert_uint_eq(fwrite(text, 1, strlen(text), f), strlen(text));
    ck_assert_int_eq(fclose(f), 0);
}

static inline void check_text(const char *folder, const char *name, const char *text)
{
    char place[400], got[4000];

    snprintf(place, sizeof place, "%s/%s", folder, name);
    FILE *f = fopen(place, "rb");
    ck_assert_msg(f != NULL, "%s", place);
    got[fread(got, 1, sizeof got - 1, f)] = 0;
    fclose(f);
    ck_assert_str_eq(got, text);
}

/* A safetensors file with tensors of those names (one letter each): three floats, the letter's
 * number. */
static inline void write_shard(const char *name, const char *letters)
{
    s24i_writer *w = NULL;

    ck_assert_int_eq(s24i_writer_create(&memory, in_source(name), "safetensors", &w), S24_OK);
    for (; *letters; letters++) {
        float data[3] = {(float)*letters, (float)*letters, (float)*letters};
        char tensor[2] = {*letters, 0};
        s24_mat mat = matrix(data, 1, 3, S24_F32);
        ck_assert_int_eq(s24i_writer_put(w, tensor, &mat, NULL, 0, NULL), S24_OK);
    }
    ck_assert_int_eq(s24i_writer_set_meta(w, "format", "pt"), S24_OK);
    ck_assert_int_eq(s24i_writer_set_meta(w, "of", name), S24_OK);
    commit(w);
}

static inline void write_index(const char *map)
{
    char text[1000];

    snprintf(text, sizeof text, "{\"metadata\":{\"total_size\":1},\"weight_map\":%s}", map);
    write_text(in_source(S24I_FOLDER_INDEX), text);
}

static inline s24i_reader *open_folder(const char *folder)
{
    s24i_reader *file = NULL;

    ck_assert_msg(s24i_reader_open(&memory, folder, &file) == S24_OK, "%s", s24i_error_text());
    return file;
}

static inline void check_tensor(s24i_reader *file, const char *letter)
{
    s24_mat view;

    ck_assert_int_eq(s24i_reader_view(file, letter, &view), S24_OK);
    ck_assert(view.cols == 3 && ((float *)view.data)[2] == (float)*letter);
}

#endif
