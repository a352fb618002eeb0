/* GGUF as reader and writer share it: the types of metadata and one value's bytes. Knows no
 * tensors. */
#ifndef S24I_GGUF_H
#define S24I_GGUF_H
#include "base/json.h"
#include "reader.h"

enum {
    S24I_GGUF_U8,
    S24I_GGUF_I8,
    S24I_GGUF_U16,
    S24I_GGUF_I16,
    S24I_GGUF_U32,
    S24I_GGUF_I32,
    S24I_GGUF_F32,
    S24I_GGUF_BOOL,
    S24I_GGUF_STRING,
    S24I_GGUF_ARRAY,
    S24I_GGUF_U64,
    S24I_GGUF_I64,
    S24I_GGUF_F64,
    S24I_GGUF_TYPES,
    S24I_GGUF_VERSION = 3,
    S24I_GGUF_MAX_RANK = 4,
    S24I_GGUF_ALIGNMENT = 32, /* unless the key below says otherwise */
};
#define S24I_GGUF_ALIGNMENT_KEY "general.alignment"

/* One metadata value: `size` bytes as they are in the file. */
typedef struct s24i_gguf_value {
    uint32_t type;
    const unsigned char *bytes;
    uint64_t size;
} s24i_gguf_value;

/* What is left of the bytes that are being parsed. */
typedef struct s24i_cursor {
    const unsigned char *start, *at, *end;
} s24i_cursor;

/* S24_E_FORMAT and the byte where the file ends too early. */
s24_status s24i_take_u32(s24i_cursor *cursor, uint32_t *value);
s24_status s24i_take_u64(s24i_cursor *cursor, uint64_t *value);
/* A length, then that many bytes. */
s24_status s24i_take_bytes(s24i_cursor *cursor, const unsigned char **bytes, uint64_t *size);
/* Type and value of one metadata item, checked to its last byte. */
s24_status s24i_take_value(s24i_cursor *cursor, s24i_gguf_value *value);

/* The value as text: a string as it is, bools as true and false, numbers in their shortest spelling
 * that reads back equal, arrays as JSON. */
void s24i_gguf_value_text(const s24i_gguf_value *value, s24i_text *text);
bool s24i_gguf_alignment_fits(uint64_t alignment);
/* Bytes of one value of a type; 0: it depends, or there is no such type. */
uint32_t s24i_gguf_size(uint32_t type);

/* ---- For the writer: what a reader that is a GGUF file holds. ---- */

/* Metadata of a reader of that class, -1 for another. */
int64_t s24i_gguf_value_count(const s24i_reader *reader);
const char *s24i_gguf_value_at(const s24i_reader *reader, int64_t index, s24i_gguf_value *value);
/* The value of a key, if there is one. */
bool s24i_gguf_value_of(const s24i_reader *reader, const char *key, s24i_gguf_value *value);

/* ---- gguf_order.c: files of the other byte order. ---- */

/* Reverse the bytes of each number before the tensors, as far as the header can be followed. */
void s24i_gguf_turn_header(unsigned char *bytes, uint64_t size);
/* The same in the data of a tensor, of which `data` are a copy. S24_E_UNSUPPORTED: it is not known
 * where such blocks have numbers. */
s24_status s24i_gguf_turn_tensor(const s24i_tensor *tensor, unsigned char *data);

/* ---- gguf_split.c: models in several files. ---- */

#define S24I_GGUF_SPLIT "split." /* what the keys begin with that only parts have */

/* Length of the name without "-00002-of-00003.gguf", if it ends so. */
size_t s24i_gguf_stem(const char *name);
/* A reader of one part becomes one of all parts, whose names follow from its path. Another reader
 * stays as it is, and so it does on failure. */
s24_status s24i_gguf_whole(s24i_memory *memory, const char *path, s24i_reader **reader);
/* One reader over all tensors of the parts, with the metadata of the first but those of the split.
 * On success the array and the parts are its own. */
s24_status s24i_gguf_join(s24i_memory *memory, s24i_reader **parts, int64_t count,
                          s24i_reader **out);

#endif
