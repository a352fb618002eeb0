#ifndef SPARSE24_RECORD_H
#define SPARSE24_RECORD_H
#include "types.h"
#ifdef __cplusplus
extern "C" {
#endif

/**
 * A record is a JSON object in one line of text: a result has one, s24_result_str(r, "record"), and
 * files carry them as metadata. These functions read and write members of the object itself, so
 * that a host needs no JSON library to add a number of its own. Keys are compared as they are
 * written, escapes unresolved.
 *
 * Those that write put the new text, terminated, into `out`, which has `size` bytes, and return how
 * many bytes it needs, the terminator included. If that is more than `size`, nothing was written
 * (out may be NULL then): take as much and call again. 0 is a failure: `record` is no object.
 */

/**
 * Set `key` to a number, replacing a member of that name. The spelling is the shortest that reads
 * back equal; NaN and infinity become null.
 */
S24_API size_t s24_record_set_float(const char *record, const char *key, double value, char *out,
                                    size_t size);
/**
 * The same for a text; NULL removes the member. A byte that is not UTF-8, as in some paths, becomes
 * \udcXX, from which s24_record_str() and Python's os.fsencode() make it again.
 */
S24_API size_t s24_record_set_str(const char *record, const char *key, const char *value, char *out,
                                  size_t size);
/** The member `key`, a number. S24_E_ARG: there is none; *value is untouched. */
S24_API s24_status s24_record_float(const char *record, const char *key, double *value);
/** The member `key`, a text, its escapes resolved; 0, S24_E_ARG: there is none. */
S24_API size_t s24_record_str(const char *record, const char *key, char *out, size_t size);

/**
 * Bytes, 1 to 4, of the UTF-8 character that text[0 .. size) begins with; 0 if it begins with none:
 * a stray byte, an overlong form, a surrogate, a character that is cut off.
 */
S24_API size_t s24_utf8_length(const char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
