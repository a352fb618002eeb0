/* lib/io/sniff.c: files that are no model are told by what they are. */
#include "../scratch.h"
#include "io/sniff.h"

#define FILE_OF(bytes, what)          \
    {                                 \
        bytes, sizeof bytes - 1, what \
    }

/* The first bytes of files as the programs that write them make them. */
static const struct {
    const char *bytes;
    size_t size;
    const char *what; /* NULL: nothing can be told */
} files[] = {
    FILE_OF("", "an empty file"),
    FILE_OF("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 134217728\n",
            "a Git LFS pointer, not the file itself: run git lfs pull"),
    FILE_OF("<!DOCTYPE html><html><head><title>Login</title></head></html>", "an HTML or XML page"),
    FILE_OF("\xef\xbb\xbf\r\n  <html>\n</html>\n", "an HTML or XML page"),
    FILE_OF("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>",
            "an HTML or XML page"),
    FILE_OF("Entry not found", "a text file; sparse24 reads .safetensors and .gguf"),
    FILE_OF("The quick brown fox \xe2\x80\x94 jumps\n\tover", "make_tokens.py"),
    FILE_OF("{\"text\": \"one\"}\n{\"text\": \"two\"}\n", "JSON"),
    FILE_OF("[1, 2, 3, 4, 5]", "JSON"),
    FILE_OF("{\"metadata\": {}, \"weight_map\": {", "name the folder"),
    FILE_OF("\xff\xfe"
            "h\0e\0l\0l\0o\0",
            "text in UTF-16"),
    FILE_OF("\x80\x02\x8a\nl\xfc\x9c"
            "F\xf9 j\xa8P\x19.",
            "a Python pickle"),
    FILE_OF("PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0"
            "archive/data.pkl",
            "a PyTorch checkpoint (a zip of pickles): load it with torch.load()"),
    FILE_OF("PK\3\4-\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05\0\0\0"
            "x.npy",
            "NumPy arrays (.npz)"),
    FILE_OF("PK\3\4", "a zip archive"),
    FILE_OF("\x93NUMPY\x01\0v\0{'descr': '<f4'}", "a NumPy array (.npy)"),
    FILE_OF("\x1f\x8b\x08\0\0\0\0\0\0\3", "compressed by gzip: unpack it with gunzip"),
    FILE_OF("\x28\xb5\x2f\xfd\4\0", "compressed by zstd"),
    FILE_OF("\xfd"
            "7zXZ\0",
            "compressed by xz"),
    FILE_OF("\x08\x08\x12\x07pytorch\x1a\x05"
            "2.4.0:",
            "an ONNX model"),
    FILE_OF("\x89HDF\r\n\x1a\n", "an HDF5 file"),
    FILE_OF("PAR1\x15\4", "a Parquet table"),
    FILE_OF("tjgg\3\0\0\0", "a GGML file, older than GGUF"),
    FILE_OF("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "begins with zeros"),
    FILE_OF("\1\2\3\4\5\6\7\x08\x09", NULL),
    FILE_OF("\x80", NULL),
};

START_TEST(first_bytes)
{
    const char *what = s24i_sniff(files[_i].bytes, files[_i].size);

    if (!files[_i].what)
        ck_assert_ptr_null(what);
    else
        ck_assert_msg(what && strstr(what, files[_i].what), "%s", what ? what : "nothing");
}
END_TEST

/* And so the reader says; never more than the bytes that are there are looked at. */
START_TEST(the_reader_says_so)
{
    s24i_reader *file = NULL;

    write_bytes(files[_i].bytes, files[_i].size);
    ck_assert_int_eq(s24i_reader_open(&memory, path, &file), S24_E_FORMAT);
    unit_check_text(path);
    if (files[_i].what)
        unit_check_text(files[_i].what);
    for (size_t n = 0; n < files[_i].size; n++) {
        char *cut = malloc(n);
        memcpy(cut, files[_i].bytes, n);
        s24i_sniff(cut, n);
        free(cut);
    }
}
END_TEST

START_TEST(tar_and_long_texts)
{
    char bytes[600] = "model/config.json";

    memcpy(bytes + 257, "ustar", 5);
    ck_assert_ptr_nonnull(strstr(s24i_sniff(bytes, sizeof bytes), "a tar archive"));
    memset(bytes, 'x', sizeof bytes);
    memcpy(bytes + 511, "\xc3\xa4", 2); /* a letter that is cut where looking ends */
    ck_assert_ptr_nonnull(strstr(s24i_sniff(bytes, sizeof bytes), "a text file"));
}
END_TEST

/* A safetensors or GGUF file under another name is one all the same; a header that is cut says
 * so. */
START_TEST(truncated_header)
{
    s24i_reader *file = NULL;

    write_bytes("\x40\0\0\0\0\0\0\0{\"a\":{\"dtype\"", 21);
    ck_assert_int_eq(s24i_reader_open(&memory, path, &file), S24_E_FORMAT);
    unit_check_text("header of 64 bytes in a file of 21");
    unit_check_text("is the file whole?");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sniff");
    TCase *all = tcase_create("all");

    tcase_add_checked_fixture(all, set_up, tear_down);
    tcase_add_loop_test(all, first_bytes, 0, sizeof files / sizeof *files);
    tcase_add_loop_test(all, the_reader_says_so, 0, sizeof files / sizeof *files);
    tcase_add_test(all, tar_and_long_texts);
    tcase_add_test(all, truncated_header);
    suite_add_tcase(suite, all);
    return unit_run(suite);
}
