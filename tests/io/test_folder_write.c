/* lib/io/folder_write.c: shards, index, the files beside them; all of it or nothing. */
#include "folders.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

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
    ck_assert_int_eq(s24i_writer_set_meta(w, "config.x", "1"), S24_E_STATE);
    unit_check_text("no config.json was carried over");
    ck_assert_int_eq(s24i_writer_set_meta(w, "x", "1"), S24_OK);
    ck_assert_int_eq(s24i_writer_set_meta(w, "x", NULL), S24_OK);
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
    ck_assert_ptr_null(meta_of(file, "x"));
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

START_TEST(configuration_changed)
{
    static const struct {
        const char *key, *value;
        s24_status status;
    } edits[] = {{"config.dtype", "bfloat16", S24_OK}, /* there, but null */
                 {"config.torch_dtype", "float16", S24_OK},
                 {"config.layers", "12", S24_OK},
                 {"config.tie", "false", S24_OK},
                 {"config.rope.theta", "1e6", S24_OK},
                 {"config.a.b", "x", S24_OK}, /* a key with a dot */
                 {"config.new", "\"quoted\"", S24_OK},
                 {"config.quantization_config", NULL, S24_OK},
                 {"config.quantization_config", "{\"bits\": 8, \"skip\": [\"a\"]}", S24_OK},
                 {"config.nowhere", NULL, S24_OK},
                 {"config.broken", "{\"bits\": 8", S24_E_ARG},
                 {"config.words", "[1,", S24_E_ARG},
                 {"config.layers", "many", S24_E_ARG},
                 {"config.layers", "true", S24_E_ARG},
                 {"config.tie", "1", S24_E_ARG},
                 {"config.rope", "x", S24_E_ARG},
                 {"config.list", "[1]", S24_E_ARG},
                 {"config.rope.new", "x", S24_E_ARG}};

    write_shard(S24I_FOLDER_SINGLE, "a");
    write_text(in_source("config.json"),
               "{\"dtype\":null,\"layers\":3,\"list\":[1,{\"a\":[]}],"
               "\"quantization_config\":{\"bits\":4,\"more\":{\"x\":[1,2]}},"
               "\"rope\":{\"theta\":10000.0},\"tie\":true,\"a.b\":\"y\",\"o\":{}}");
    s24i_reader *file = open_folder(source);
    s24i_writer *w = create_folder("folder");
    ck_assert_int_eq(s24i_writer_copy_meta(w, file), S24_OK);
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++)
        ck_assert_msg(s24i_writer_set_meta(w, edits[i].key, edits[i].value) == edits[i].status,
                      "%s: %s", edits[i].key, s24i_error_text());
    s24i_reader_close(file);
    commit(w);
    check_text(target, "config.json",
               "{\n  \"dtype\": \"bfloat16\",\n  \"layers\": 12,\n  \"list\": [\n    1,\n    {\n"
               "      \"a\": []\n    }\n  ],\n  \"rope\": {\n    \"theta\": 1e6\n  },\n"
               "  \"tie\": false,\n  \"a.b\": \"x\",\n  \"o\": {},\n"
               "  \"torch_dtype\": \"float16\",\n  \"new\": \"\\\"quoted\\\"\",\n"
               "  \"quantization_config\": {\n    \"bits\": 8,\n    \"skip\": [\n      \"a\"\n"
               "    ]\n  }\n}\n");
}
END_TEST

/* What cannot be carried over is told before anything is written. */
START_TEST(checked_before_the_work)
{
    write_shard(S24I_FOLDER_SINGLE, "a");
    s24i_reader *file = open_folder(source);
    s24i_writer *w = create_folder("folder"), *other = create();
    ck_assert_int_eq(s24i_writer_check_copy(w, file), S24_OK);
    ck_assert_int_eq(s24i_writer_check_copy(other, file), S24_E_UNSUPPORTED);
    s24i_writer_discard(other);
    ck_assert_int_eq(mkfifo(in_source("a.json"), 0600), 0);
    ck_assert_int_eq(s24i_writer_check_copy(w, file), S24_E_IO);
    unit_check_text("a.json: not a regular file");
    unlink(in_source("a.json"));
    write_text(in_source("b.txt"), "");
    ck_assert_int_eq(truncate(in_source("b.txt"), 100000000000), 0);
    ck_assert_int_eq(s24i_writer_check_copy(w, file), S24_E_UNSUPPORTED);
    unit_check_text("source/b.txt has 100000000000 bytes: of a file beside the weights at most");
    unlink(in_source("b.txt"));
    ck_assert_int_eq(symlink("/etc/passwd", in_source("c.md")), 0);
    ck_assert_int_eq(s24i_writer_check_copy(w, file), S24_E_FORMAT);
    unit_check_text("c.md: a symbolic link out of the folder");
    s24i_writer_discard(w);
    s24i_reader_close(file);
}
END_TEST

START_TEST(changed_sources_are_noticed)
{
    write_shard("one.safetensors", "a");
    write_shard("two.safetensors", "b");
    write_index("{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"}");
    write_text(in_source("config.json"), "{}");
    static const char *const names[] = {"two.safetensors", S24I_FOLDER_INDEX, "config.json"};
    for (int i = 0; i < 3; i++) {
        s24i_reader *file = open_folder(source);
        ck_assert_int_eq(s24i_reader_check_sources(file), S24_OK);
        ck_assert_int_eq(utimensat(AT_FDCWD, in_source(names[i]),
                                   (struct timespec[]){{0, UTIME_OMIT}, {i, 1}}, 0),
                         0);
        ck_assert_int_eq(s24i_reader_check_sources(file), S24_E_STATE);
        unit_check_text(names[i]);
        s24i_reader_close(file);
    }
    s24i_reader *file = open_folder(source);
    unlink(in_source("config.json"));
    ck_assert_int_eq(s24i_reader_check_sources(file), S24_E_STATE);
    unit_check_text("source/config.json was changed or removed after it was opened");
    s24i_reader_close(file);
}
END_TEST

/* An empty target keeps its mode. */
START_TEST(mode_is_kept)
{
    struct stat info;

    ck_assert_int_eq(mkdir(target, 0700), 0);
    commit(create_folder("folder"));
    ck_assert_int_eq(stat(target, &info), 0);
    ck_assert_int_eq(info.st_mode & 0777, 0700);
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
    Suite *suite = suite_create("folder_write");
    TCase *writing = tcase_create("writing");

    tcase_add_checked_fixture(writing, set_up_folders, tear_down_folders);
    tcase_add_test(writing, written_in_shards);
    tcase_add_test(writing, written_as_one_file);
    tcase_add_test(writing, files_carried_over);
    tcase_add_test(writing, configuration_changed);
    tcase_add_test(writing, checked_before_the_work);
    tcase_add_test(writing, changed_sources_are_noticed);
    tcase_add_test(writing, mode_is_kept);
    tcase_add_test(writing, links_are_not_carried_over);
    tcase_add_test(writing, commit_fails_and_is_tried_again);
    tcase_add_test(writing, disk_is_full);
    tcase_add_test(writing, memory_is_refused);
    suite_add_tcase(suite, writing);
    return unit_run(suite);
}
