#include "sniff.h"
#include "base/utf8.h"
#include <stdbool.h>
#include <string.h>

#define TENSORS "sparse24 reads .safetensors and .gguf"
#define TOKENS TENSORS " (for tokens: examples/python/make_tokens.py)"
#define TORCH "load it with torch.load() and write it with safetensors.torch.save_file()"
#define NUMPY "load it with numpy.load() and write it with safetensors.numpy.save_file()"

enum { LOOKED_AT = 512, ZIP_NAME_SIZE = 26, ZIP_NAME = 30, TAR_MAGIC = 257 };

/* Bytes that stand at one place. */
typedef struct magic {
    uint64_t at;
    const char *bytes;
    uint64_t size;
    const char *what;
} magic;

#define MAGIC(at, bytes, what)            \
    {                                     \
        at, bytes, sizeof bytes - 1, what \
    }

static const magic magics[] = {
    MAGIC(0, "version https://git-lfs", "a Git LFS pointer, not the file itself: run git lfs pull"),
    MAGIC(0, "\x93NUMPY", "a NumPy array (.npy): " NUMPY),
    MAGIC(0, "\x1f\x8b", "compressed by gzip: unpack it with gunzip"),
    MAGIC(0, "BZh", "compressed by bzip2: unpack it with bunzip2"),
    MAGIC(0,
          "\xfd"
          "7zXZ",
          "compressed by xz: unpack it with unxz"),
    MAGIC(0, "\x28\xb5\x2f\xfd", "compressed by zstd: unpack it with unzstd"),
    MAGIC(0, "7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
    MAGIC(0, "Rar!", "a RAR archive: unpack it"),
    MAGIC(TAR_MAGIC, "ustar", "a tar archive: unpack it with tar -xf"),
    MAGIC(0, "\x89HDF\r\n", "an HDF5 file (Keras, TensorFlow): convert the model to safetensors"),
    MAGIC(4, "TFL3", "a TensorFlow Lite model: " TENSORS),
    MAGIC(0, "PAR1", "a Parquet table: " TOKENS),
    MAGIC(0, "ARROW1", "an Arrow table: " TOKENS),
    MAGIC(0, "lmgg", "a GGML file, older than GGUF: convert the model anew with llama.cpp"),
    MAGIC(0, "fmgg", "a GGML file, older than GGUF: convert the model anew with llama.cpp"),
    MAGIC(0, "tjgg", "a GGML file, older than GGUF: convert the model anew with llama.cpp"),
    MAGIC(0, "%PDF", "a PDF document: " TOKENS),
    MAGIC(0,
          "\x7f"
          "ELF",
          "a program or library: " TENSORS),
    MAGIC(0, "\xff\xfe", "text in UTF-16: " TOKENS),
    MAGIC(0, "\xfe\xff", "text in UTF-16: " TOKENS),
};

static bool holds(const unsigned char *bytes, uint64_t size, const char *word)
{
    size_t length = strlen(word);

    for (uint64_t i = 0; i + length <= size; i++) {
        if (!memcmp(bytes + i, word, length))
            return true;
    }
    return false;
}

/* By the name of the first file in it. */
static const char *archive(const unsigned char *bytes, uint64_t size)
{
    uint64_t length =
        size < ZIP_NAME ? 0 : bytes[ZIP_NAME_SIZE] | (uint64_t)bytes[ZIP_NAME_SIZE + 1] << 8;
    const unsigned char *name = bytes + ZIP_NAME;

    if (length > size - ZIP_NAME)
        length = 0;
    if (holds(name, length, "data.pkl") || holds(name, length, "/byteorder") ||
        holds(name, length, "/version") || holds(name, length, "/.format_version"))
        return "a PyTorch checkpoint (a zip of pickles): " TORCH;
    if (holds(name, length, ".npy"))
        return "NumPy arrays (.npz): " NUMPY;
    return "a zip archive: unpack it, or if it is a checkpoint, write that as safetensors";
}

/* A version of pickle's protocol, or of ONNX's and then one of its next fields. */
static const char *serialised(const unsigned char *bytes, uint64_t size)
{
    if (bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5)
        return "a Python pickle (an old PyTorch checkpoint?): " TORCH;
    if (bytes[0] == 0x08 && bytes[1] && bytes[1] < 32 && size > 2 &&
        (bytes[2] == 0x12 || bytes[2] == 0x1a || bytes[2] == 0x3a || bytes[2] == 0x42))
        return "an ONNX model: convert the model it was made from";
    return NULL;
}

/* UTF-8 without control characters; the last one may be cut. */
static bool is_text(const unsigned char *bytes, uint64_t size)
{
    for (uint64_t i = 0, n; i < size; i += n) {
        n = s24i_utf8_length((const char *)bytes + i, size - i);
        if (n == 0 && size == LOOKED_AT && size - i < 4)
            return true;
        if (n == 0 || (bytes[i] < 0x20 && !memchr("\t\n\f\r", bytes[i], 4)))
            return false;
    }
    return true;
}

static const char *text(const unsigned char *bytes, uint64_t size)
{
    if (size >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3)) {
        bytes += 3;
        size -= 3;
    }
    while (size && memchr(" \t\r\n", *bytes, 4)) {
        bytes++;
        size--;
    }
    if (size && *bytes == '<')
        return "an HTML or XML page, not the file itself: download it again, logged in or by its "
               "direct address";
    if (size && *bytes == '{' &&
        (holds(bytes, size, "\"weight_map\"") || holds(bytes, size, "\"architectures\"")))
        return "a description in a model's folder: name the folder";
    if (size && (*bytes == '{' || *bytes == '['))
        return "JSON: " TOKENS;
    return "a text file; " TOKENS;
}

static bool is_zero(const unsigned char *bytes, uint64_t size)
{
    for (uint64_t i = 0; i < size; i++) {
        if (bytes[i])
            return false;
    }
    return size >= 16;
}

const char *s24i_sniff(const void *data, uint64_t size)
{
    const unsigned char *bytes = data;

    if (size == 0)
        return "an empty file: was a download or a copy interrupted?";
    if (size > LOOKED_AT)
        size = LOOKED_AT;
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        const magic *m = &magics[i];
        if (size >= m->at + m->size && !memcmp(bytes + m->at, m->bytes, m->size))
            return m->what;
    }
    if (size >= 4 && !memcmp(bytes, "PK\3\4", 4))
        return archive(bytes, size);
    if (is_zero(bytes, size))
        return "a file that begins with zeros: was a download interrupted?";
    if (is_text(bytes, size))
        return text(bytes, size);
    return size >= 2 ? serialised(bytes, size) : NULL;
}
