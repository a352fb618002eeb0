#include "../unit/scratch.h"
#include "io/folder.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* Model folders in the scratch directory; removed, whatever is in them, before its own check. */
static char source[160], target[160];

static void set_up_folders(void)
{
    set_up();
    snprintf(source, sizeof source, "%s/source", directory);
    snprintf(target, sizeof target, "%s/target", directory);
    ck_assert_int_eq(mkdir(source, 0700), 0);
}

static void remove_all(const char *folder)
{
    DIR *d = opendir(folder);
    struct dirent *item;
    char name[512];

    while (d && (item = readdir(d))) {
        snprintf(name, sizeof name, "%s/%s", folder, item->d_name);
        if (item->d_name[0] != '.' || !strcmp(item->d_name, ".hidden"))
            unlink(name);
    }
    if (d)
        closedir(d);
    rmdir(folder);
}

static void tear_down_folders(void)
{
    remove_all(source);
    remove_all(target);
    tear_down();
}

/* "source/name" */
static const char *in_source(const char *name)
{
    static char place[400];

    snprintf(place, sizeof place, "%s/%s", source, name);
    return place;
}

static void write_text(const char *place, const char *text)
{
    FILE *f = fopen(place, "wb");

    ck_assert_uint_eq(fwrite(text, 1, strlen(text), f), strlen(text));
    ck_assert_int_eq(fclose(f), 0);
}

static void check_text(const char *folder, const char *name, const char *text)
{
    char place[400], got[4000];

    snprintf(place, sizeof place, "%s/%s", folder, name);
    FILE *f = fopen(place, "rb");
    ck_assert_msg(f != NULL, "%s", place);
    got[fread(got, 1, sizeof got - 1, f)] = 0;
    fclose(f);
    ck_assert_str_eq(got, text);
}

/* A safetensors file with tensors of those names (one letter each): three floats, the letter's number. */
static void write_shard(const char *name, const char *letters)
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

static void write_index(const char *map)
{
    char text[1000];

    snprintf(text, sizeof text, "{\"metadata\":{\"total_size\":1},\"weight_map\":%s}", map);
    write_text(in_source(S24I_FOLDER_INDEX), text);
}

static s24i_reader *open_folder(const char *folder)
{
    s24i_reader *file = NULL;

    ck_assert_msg(s24i_reader_open(&memory, folder, &file) == S24_OK, "%s", s24i_error_text());
    return file;
}

static void refused(s24_status status, const char *says)
{
    s24i_reader *file = NULL;

    ck_assert_int_eq(s24i_reader_open(&memory, source, &file), status);
    unit_check_text(says);
    unit_check_text(source);
    ck_assert_ptr_null(file);
}

static void check_tensor(s24i_reader *file, const char *letter)
{
    s24_mat view;

    ck_assert_int_eq(s24i_reader_view(file, letter, &view), S24_OK);
    ck_assert(view.cols == 3 && ((float *)view.data)[2] == (float)*letter);
}

START_TEST(one_file)
{
    write_shard(S24I_FOLDER_SINGLE, "cab");
    s24i_reader *file = open_folder(source);
    ck_assert_int_eq(file->count, 3);
    ck_assert_str_eq(s24i_reader_at(file, 0)->name, "c");
    check_tensor(file, "b");
    ck_assert_str_eq(meta_of(file, "of"), S24I_FOLDER_SINGLE);
    ck_assert_str_eq(s24i_reader_meta_key(file, 0), "format");
    ck_assert_ptr_null(s24i_reader_meta_key(file, 2));
    s24i_reader_close(file);
}
END_TEST

START_TEST(shards)
{
    write_shard("two.safetensors", "ba");
    write_shard("one.safetensors", "cd");
    write_index("{\"a\":\"two.safetensors\",\"d\":\"one.safetensors\",\"b\":\"two.safetensors\","
                "\"c\":\"one.safetensors\"}");
    s24i_reader *file = open_folder(source);
    ck_assert_int_eq(file->count, 4);
    for (int i = 0; i < 4; i++) /* by shard, then as they lie */
        ck_assert_int_eq(s24i_reader_at(file, i)->name[0], "cdba"[i]);
    for (int i = 0; i < 4; i++)
        check_tensor(file, (char[]){"abcd"[i], 0});
    ck_assert_str_eq(meta_of(file, "of"), "one.safetensors");
    s24i_reader_close(file);
}
END_TEST

START_TEST(configuration)
{
    static const struct {
        const char *key, *value;
    } items[] = {{"config.architectures", "[\"LlamaForCausalLM\",{\"a\":[1,null]}]"},
                 {"config.hidden_size", "576"},
                 {"config.rms_norm_eps", "1e-05"},
                 {"config.rope_scaling.factor", "8.0"},
                 {"config.rope_scaling.deep.er", "x\xc3\xa4"},
                 {"config.tie", "true"},
                 {"config.none", "null"},
                 {"config.empty", ""}};

    write_shard(S24I_FOLDER_SINGLE, "a");
    write_text(in_source("config.json"),
               "{\"architectures\":[\"LlamaForCausalLM\",{\"a\":[1,null]}],\"hidden_size\":576,"
               "\"rms_norm_eps\":1e-05,\"rope_scaling\":{\"factor\":8.0,\"deep\":{\"er\":"
               "\"x\\u00e4\"}},\"tie\":true,\"none\":null,\"empty\":\"\",\"nothing\":{}}");
    s24i_reader *file = open_folder(source);
    for (int i = 0; i < 8; i++) {
        ck_assert_str_eq(s24i_reader_meta_key(file, i), items[i].key);
        ck_assert_str_eq(meta_of(file, items[i].key), items[i].value);
    }
    ck_assert_str_eq(s24i_reader_meta_key(file, 8), "format");
    s24i_reader_close(file);
    write_text(in_source("config.json"), "[1]");
    refused(S24_E_FORMAT, "config.json: not an object");
    write_text(in_source("config.json"), "");
    refused(S24_E_FORMAT, "config.json: json: ");
    write_text(in_source("config.json"), "{\"a\":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}");
    refused(S24_E_FORMAT, "nested too deeply");
}
END_TEST

START_TEST(bad_folders)
{
    refused(S24_E_FORMAT, "has neither model.safetensors nor model.safetensors.index.json");
    write_shard("one.safetensors", "ab");
    write_index("{\"a\":\"one.safetensors\",\"b\":\"gone.safetensors\"}");
    refused(S24_E_IO, "gone.safetensors: open: No such file");
    write_index("{\"a\":\"one.safetensors\"}");
    refused(S24_E_FORMAT, "one.safetensors has 2 tensors, the index names 1 of them");
    write_index("{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\",\"c\":\"one.safetensors\"}");
    refused(S24_E_FORMAT, "'c' is not in one.safetensors");
    write_index("{\"a\":\"../source/one.safetensors\"}");
    refused(S24_E_FORMAT, "'../source/one.safetensors' is not the name of a file in the folder");
    write_index("{\"a\":\"..\"}");
    refused(S24_E_FORMAT, "'..' is not the name");
    write_index("{\"a\":\"\"}");
    refused(S24_E_FORMAT, "'' is not the name");
    write_index("{\"a\":\"/etc/passwd\"}");
    refused(S24_E_FORMAT, "'/etc/passwd' is not the name");
    write_index("{\"a\":7}");
    refused(S24_E_FORMAT, "'a' has no file");
    write_index("[]");
    refused(S24_E_FORMAT, "no weight_map");
    write_index("{\"a\":\"config.json\"}");
    write_text(in_source("config.json"), "{}");
    refused(S24_E_FORMAT, "config.json: 2 bytes are too few");
    write_text(in_source(S24I_FOLDER_INDEX), "{");
    refused(S24_E_FORMAT, "model.safetensors.index.json: json: ");
}
END_TEST

START_TEST(symbolic_links)
{
    char outside[200], blobs[200], cache[200];

    /* Out of the folder: no. */
    write_shard("one.safetensors", "a");
    snprintf(outside, sizeof outside, "%s/outside", directory);
    ck_assert_int_eq(rename(in_source("one.safetensors"), outside), 0);
    ck_assert_int_eq(symlink("../outside", in_source(S24I_FOLDER_SINGLE)), 0);
    refused(S24_E_FORMAT, "model.safetensors: a symbolic link out of the folder");
    /* Within it: yes. */
    unlink(in_source(S24I_FOLDER_SINGLE));
    ck_assert_int_eq(rename(outside, in_source("blob")), 0);
    ck_assert_int_eq(symlink("blob", in_source(S24I_FOLDER_SINGLE)), 0);
    s24i_reader_close(open_folder(source));
    /* And as Hugging Face's cache has it: snapshots/REVISION/name -> ../../blobs/HASH. */
    snprintf(blobs, sizeof blobs, "%s/blobs", directory);
    snprintf(cache, sizeof cache, "%s/snapshots", directory);
    ck_assert_int_eq(mkdir(blobs, 0700) | mkdir(cache, 0700), 0);
    unlink(in_source(S24I_FOLDER_SINGLE));
    strcat(blobs, "/12");
    ck_assert_int_eq(rename(in_source("blob"), blobs), 0);
    ck_assert_int_eq(symlink("../../blobs/12", in_source(S24I_FOLDER_SINGLE)), 0);
    strcat(cache, "/34");
    ck_assert_int_eq(rename(source, cache), 0);
    s24i_reader_close(open_folder(cache));
    ck_assert_int_eq(rename(cache, source), 0);
    unlink(blobs);
    *strrchr(blobs, '/') = *strrchr(cache, '/') = 0;
    ck_assert_int_eq(rmdir(blobs) | rmdir(cache), 0);
}
END_TEST

/* ---- writing ---- */

static s24i_writer *create_folder(const char *format)
{
    s24i_writer *w = NULL;

    ck_assert_msg(s24i_writer_create(&memory, target, format, &w) == S24_OK, "%s",
                  s24i_error_text());
    return w;
}

static s24_status put_letter(s24i_writer *w, char letter)
{
    float data[3] = {(float)letter, (float)letter, (float)letter};
    char name[2] = {letter, 0};
    s24_mat mat = matrix(data, 1, 3, S24_F32);

    return s24i_writer_put(w, name, &mat, NULL, 0, NULL);
}

START_TEST(written_in_shards)
{
    s24i_writer *w = create_folder("folder[shard_bytes=30]");

    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(put_letter(w, "ecabd"[i]), S24_OK);
    ck_assert_int_eq(put_letter(w, 'e'), S24_E_ARG); /* it is in another shard */
    unit_check_text("already in the folder");
    ck_assert_int_eq(s24i_writer_set_meta(w, "made by", "a test"), S24_OK);
    ck_assert_int_eq(s24i_writer_set_meta(w, "config.x", "1"), S24_E_UNSUPPORTED);
    ck_assert_int_eq(files_here(), 1); /* the source's folder */
    commit(w);
    ck_assert_int_eq(files_here(), 2);
    check_text(target, S24I_FOLDER_INDEX,
               "{\n  \"metadata\": {\n    \"total_size\": 60\n  },\n  \"weight_map\": {\n"
               "    \"a\": \"model-00002-of-00003.safetensors\",\n"
               "    \"b\": \"model-00002-of-00003.safetensors\",\n"
               "    \"c\": \"model-00001-of-00003.safetensors\",\n"
               "    \"d\": \"model-00003-of-00003.safetensors\",\n"
               "    \"e\": \"model-00001-of-00003.safetensors\"\n  }\n}\n");
    s24i_reader *file = open_folder(target);
    ck_assert_int_eq(file->count, 5);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(s24i_reader_at(file, i)->name[0], "ecabd"[i]);
        check_tensor(file, (char[]){"abcde"[i], 0});
    }
    ck_assert_str_eq(meta_of(file, "made by"), "a test");
    ck_assert_str_eq(meta_of(file, "format"), "pt");
    s24i_reader_close(file);
}
END_TEST

START_TEST(written_as_one_file)
{
    s24i_writer *w = NULL;
    char slashes[200];

    ck_assert_int_eq(mkdir(target, 0700), 0); /* empty: replaced */
    snprintf(slashes, sizeof slashes, "%s//", target);
    ck_assert_int_eq(s24i_writer_create(&memory, slashes, "folder", &w), S24_OK);
    ck_assert_int_eq(put_letter(w, 'a'), S24_OK);
    commit(w);
    s24i_reader *file = open_folder(target);
    check_tensor(file, "a");
    s24i_reader_close(file);
    ck_assert_int_ne(access(target, F_OK), -1);
    snprintf(slashes, sizeof slashes, "%s/" S24I_FOLDER_INDEX, target);
    ck_assert_int_eq(access(slashes, F_OK), -1);
    w = NULL;
    ck_assert_int_eq(s24i_writer_create(&memory, target, "folder", &w), S24_E_IO);
    unit_check_text("target: create: Directory not empty");
    write_bytes("x", 1);
    ck_assert_int_eq(s24i_writer_create(&memory, path, "folder", &w), S24_E_IO);
    unit_check_text("create: File exists");
    ck_assert_int_eq(s24i_writer_create(&memory, target, "folder[shard_bytes=0]", &w),
                     S24_E_OPTION);
    ck_assert_int_eq(s24i_writer_create(&memory, target, "folder[size=1]", &w), S24_E_OPTION);
    ck_assert_int_eq(s24i_writer_create(&memory, target, "folders", &w), S24_E_OPTION);
    ck_assert_int_eq(s24i_writer_create(&memory, "/nonexistent/x", "folder", &w), S24_E_IO);
    ck_assert_ptr_null(w);
}
END_TEST

START_TEST(files_carried_over)
{
    write_shard(S24I_FOLDER_SINGLE, "ab");
    write_text(in_source("config.json"), "{ \"hidden_size\": 3 }\n");
    write_text(in_source("tokenizer.json"), "not even JSON\n");
    write_text(in_source("merges.txt"), "");
    write_text(in_source("LICENSE"), "free\n");
    write_text(in_source("pytorch_model.bin"), "weights\n");
    write_text(in_source("other.safetensors"), "weights\n");
    write_text(in_source(".hidden"), "secret\n");
    s24i_reader *file = open_folder(source);
    s24i_writer *w = create_folder("folder");
    ck_assert_int_eq(s24i_writer_copy_meta(w, file), S24_OK);
    ck_assert_int_eq(s24i_writer_copy_meta(w, file), S24_OK);
    ck_assert_int_eq(s24i_writer_put_stored(w, s24i_reader_at(file, 1)), S24_OK);
    ck_assert_int_eq(s24i_writer_put_stored(w, s24i_reader_at(file, 1)), S24_E_ARG);
    write_text(in_source("config.json"), "{}"); /* was copied before */
    commit(w);
    s24i_reader_close(file);
    check_text(target, "config.json", "{ \"hidden_size\": 3 }\n");
    check_text(target, "tokenizer.json", "not even JSON\n");
    check_text(target, "merges.txt", "");
    check_text(target, "LICENSE", "free\n");
    file = open_folder(target);
    ck_assert_int_eq(file->count, 1);
    check_tensor(file, "b");
    ck_assert_str_eq(meta_of(file, "config.hidden_size"), "3");
    ck_assert_str_eq(meta_of(file, "of"), S24I_FOLDER_SINGLE);
    s24i_reader_close(file);
    DIR *d = opendir(target);
    int count = -2;
    while (readdir(d))
        count++;
    closedir(d);
    ck_assert_int_eq(count, 5);
}
END_TEST

/* A link out of the folder is not followed for carried files either. */
START_TEST(links_are_not_carried_over)
{
    write_shard(S24I_FOLDER_SINGLE, "a");
    ck_assert_int_eq(symlink("/etc/passwd", in_source("tokenizer.json")), 0);
    s24i_reader *file = open_folder(source);
    s24i_writer *w = create_folder("folder");
    ck_assert_int_eq(s24i_writer_copy_meta(w, file), S24_E_FORMAT);
    unit_check_text("tokenizer.json: a symbolic link out of the folder");
    s24i_writer_discard(w);
    s24i_reader_close(file);
    ck_assert_int_eq(files_here(), 1);
}
END_TEST

START_TEST(commit_fails_and_is_tried_again)
{
    char inside[200];
    s24i_writer *w = create_folder("folder[shard_bytes=12]");

    ck_assert_int_eq(put_letter(w, 'a'), S24_OK);
    ck_assert_int_eq(put_letter(w, 'b'), S24_OK);
    ck_assert_int_eq(mkdir(target, 0700), 0);
    snprintf(inside, sizeof inside, "%s/mine", target);
    write_text(inside, "mine");
    ck_assert_int_eq(s24i_writer_commit(w), S24_E_IO);
    unit_check_text("target: rename: Directory not empty");
    check_text(target, "mine", "mine");
    ck_assert_int_eq(files_here(), 2); /* source and target, no temporary */
    unlink(inside);
    ck_assert_int_eq(put_letter(w, 'c'), S24_OK);
    commit(w);
    s24i_reader *file = open_folder(target);
    ck_assert_int_eq(file->count, 3);
    s24i_reader_close(file);
}
END_TEST

/* A disk that takes no byte beyond `size`. */
static void limit_files(rlim_t size)
{
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){size, RLIM_INFINITY}), 0);
}

START_TEST(disk_is_full)
{
    s24i_writer *w = create_folder("folder[shard_bytes=12]");

    ck_assert_int_eq(put_letter(w, 'a'), S24_OK);
    ck_assert_int_eq(put_letter(w, 'b'), S24_OK);
    limit_files(130); /* the shards fit, the index does not */
    ck_assert_int_eq(s24i_writer_commit(w), S24_E_IO);
    unit_check_text("write: File too large");
    ck_assert_int_eq(files_here(), 1);
    limit_files(RLIM_INFINITY);
    commit(w);
    s24i_reader_close(open_folder(target));
}
END_TEST

static s24_status whole_story(void)
{
    s24i_reader *file = NULL;
    s24i_writer *w = NULL;
    s24_status status = s24i_reader_open(&memory, source, &file);

    if (!status)
        status = s24i_writer_create(&memory, target, "folder[shard_bytes=12]", &w);
    if (!status)
        status = s24i_writer_copy_meta(w, file);
    for (int64_t i = 0; !status && i < file->count; i++)
        status = s24i_writer_put_stored(w, s24i_reader_at(file, i));
    if (!status)
        status = s24i_writer_commit(w);
    s24i_writer_discard(w);
    s24i_reader_close(file);
    return status;
}

START_TEST(memory_is_refused)
{
    s24_status status = S24_E_MEMORY;
    int64_t k;

    write_shard("one.safetensors", "ab");
    write_shard("two.safetensors", "c");
    write_index("{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\",\"c\":\"two.safetensors\"}");
    write_text(in_source("config.json"), "{\"a\":{\"b\":[1,2]}}");
    for (k = 1; status; k++) {
        unit_memory(&memory, &heap);
        heap.refuse = k;
        status = whole_story();
        ck_assert_msg(status == S24_OK || status == S24_E_MEMORY, "%lld: %s", (long long)k,
                      s24i_error_text());
        ck_assert_int_eq(files_here(), status ? 1 : 2);
        unit_check_heap(&memory, &heap);
    }
    ck_assert_int_gt(k, 60);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("folder");
    TCase *reading = tcase_create("reading"), *writing = tcase_create("writing");

    tcase_add_checked_fixture(reading, set_up_folders, tear_down_folders);
    tcase_add_checked_fixture(writing, set_up_folders, tear_down_folders);
    tcase_add_test(reading, one_file);
    tcase_add_test(reading, shards);
    tcase_add_test(reading, configuration);
    tcase_add_test(reading, bad_folders);
    tcase_add_test(reading, symbolic_links);
    suite_add_tcase(suite, reading);
    tcase_add_test(writing, written_in_shards);
    tcase_add_test(writing, written_as_one_file);
    tcase_add_test(writing, files_carried_over);
    tcase_add_test(writing, links_are_not_carried_over);
    tcase_add_test(writing, commit_fails_and_is_tried_again);
    tcase_add_test(writing, disk_is_full);
    tcase_add_test(writing, memory_is_refused);
    suite_add_tcase(suite, writing);
    return unit_run(suite);
}
