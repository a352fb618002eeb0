/* A model's folder as Hugging Face has it: names in it, and what may be opened. Knows safetensors
 * files as readers. */
#ifndef S24I_FOLDER_H
#define S24I_FOLDER_H
#include "base/json.h"
#include "reader.h"

#define S24I_FOLDER_SINGLE "model.safetensors"
#define S24I_FOLDER_INDEX "model.safetensors.index.json"
#define S24I_FOLDER_CONFIG "config.json"
#define S24I_FOLDER_CODES "quantize_config.json" /* older GPTQ folders have it beside */

/* A file of the folder, mapped. Nothing outside is opened: S24_E_FORMAT for names with '/', "." and
 * "..", and for symbolic links unless they lead into the folder or into "../../blobs" from it,
 * where Hugging Face's cache keeps the files. */
s24_status s24i_folder_map(s24i_memory *memory, const char *folder, const char *name,
                           const void **data, uint64_t *size);
/* "folder/name", for s24i_strfree(). */
char *s24i_folder_path(s24i_memory *memory, const char *folder, const char *name);
/* Whether a name has this ending and something before it. */
bool s24i_folder_ends_with(const char *name, const char *ending);
/* The folder that a reader has open, or NULL if it is none. */
const char *s24i_folder_of(const s24i_reader *reader);

/* Whether weights of that folder are decoded from codes (quantised.h), so that what its files tell
 * of codes is no more so. */
bool s24i_folder_decoded(const s24i_reader *reader);

/* ---- folder_config.c ---- */

/* The value as JSON without white space. */
void s24i_config_value(s24i_text *text, const s24i_json *value);
/* config.json with one key ("a", or "a.b" for b in the object a) set or, value NULL, removed,
 * indented as Hugging Face's library has it. A key that is there keeps its kind; a new one is
 * JSON if the value begins as an object or an array, else a string. S24_E_ARG, S24_E_FORMAT. */
s24_status s24i_config_edit(s24i_memory *memory, const char *json, uint64_t size, const char *key,
                            const char *value, s24i_text *out);

#endif
