/* lib/io/folder.c: models in folders, and what must not be opened. */
#include "folders.h"

static void refused(s24_status status, const char *says)
{
    s24i_reader *file = NULL;

    ck_assert_int_eq(s24i_reader_open(&memory, source, &file), status);
    unit_check_text(says);
    unit_check_text(source);
    ck_assert_ptr_null(file);
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

/* The index says which shard a tensor is read from; what a shard holds beyond it is not there. */
START_TEST(index_decides)
{
    write_shard("one.safetensors", "abc");
    write_shard("two.safetensors", "bcd");
    write_index("{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\",\"c\":"
                "\"one.safetensors\"}");
    s24i_reader *file = open_folder(source);
    ck_assert_int_eq(file->count, 3);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(s24i_reader_at(file, i)->name[0], "acb"[i]);
    const s24i_tensor *t;
    ck_assert_int_eq(s24i_reader_find(file, "d", &t), S24_E_ARG);
    s24i_reader_close(file);
}
END_TEST

static void write_gguf(const char *name, const char *letters)
{
    s24i_writer *w = NULL;

    ck_assert_int_eq(s24i_writer_create(&memory, in_source(name), "gguf", &w), S24_OK);
    for (; *letters; letters++) {
        float data[3] = {(float)*letters, (float)*letters, (float)*letters};
        s24_mat mat = matrix(data, 1, 3, S24_F32);
        ck_assert_int_eq(s24i_writer_put(w, (char[]){*letters, 0}, &mat, NULL, 0, NULL), S24_OK);
    }
    ck_assert_int_eq(s24i_writer_set_meta(w, "of", name), S24_OK);
    commit(w);
}

/* As compress writes one for a GGUF model: the model, and what is beside it. */
START_TEST(one_gguf_model)
{
    write_gguf("some.gguf", "ab");
    write_shard("parts.safetensors", "x");
    write_text(in_source("records.jsonl"), "{}\n");
    write_text(in_source(".hidden.gguf"), "");
    s24i_reader *file = open_folder(source);
    ck_assert_int_eq(file->count, 2);
    check_tensor(file, "b");
    ck_assert_str_eq(meta_of(file, "of"), "some.gguf");
    ck_assert_str_eq(file->class->format, "gguf");
    s24i_reader_close(file);
    write_gguf("other.gguf", "c");
    refused(S24_E_FORMAT, "holds more than one GGUF model, ");
    unlink(in_source("other.gguf"));
    unlink(in_source("some.gguf"));
    ck_assert_int_eq(symlink("/etc/passwd", in_source("some.gguf")), 0);
    refused(S24_E_FORMAT, "some.gguf: a symbolic link out of the folder");
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
    refused(S24_E_FORMAT, "config.json: this is an empty file");
    write_text(in_source("config.json"), "{\"a\":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}");
    refused(S24_E_FORMAT, "nested too deeply");
}
END_TEST

START_TEST(bad_folders)
{
    refused(S24_E_FORMAT, "has neither model.safetensors nor model.safetensors.index.json nor a "
                          "GGUF model");
    write_text(in_source("pytorch_model.bin"), "");
    refused(S24_E_FORMAT, "nor a GGUF model, but 'pytorch_model.bin': name that file itself");
    write_shard("one.safetensors", "ab");
    write_index("{\"a\":\"one.safetensors\",\"b\":\"gone.safetensors\"}");
    refused(S24_E_IO, "gone.safetensors: open: No such file");
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
    refused(S24_E_FORMAT, "config.json: this is JSON");
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

int main(void)
{
    Suite *suite = suite_create("folder");
    TCase *reading = tcase_create("reading");

    tcase_add_checked_fixture(reading, set_up_folders, tear_down_folders);
    tcase_add_test(reading, one_file);
    tcase_add_test(reading, shards);
    tcase_add_test(reading, index_decides);
    tcase_add_test(reading, one_gguf_model);
    tcase_add_test(reading, configuration);
    tcase_add_test(reading, bad_folders);
    tcase_add_test(reading, symbolic_links);
    suite_add_tcase(suite, reading);
    return unit_run(suite);
}
