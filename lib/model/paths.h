/* Names of files and folders. */
#ifndef PATHS_H
#define PATHS_H
#include <stdbool.h>
#include <stddef.h>

/* "folder/name", to be freed. */
char *s24m_path_join(const char *folder, const char *name);
/* What the path lies in, "." without a slash; to be freed. */
char *s24m_path_folder(const char *path);
/* Behind the last slash. */
const char *s24m_path_name(const char *path);
bool s24m_path_is_folder(const char *path);
bool s24m_path_ends_with(const char *path, const char *ending);
/* Of "STEM-00002-of-00003.gguf" the 3 and the length of STEM; 0 for any other path. */
int s24m_path_split_parts(const char *path, size_t *stem);
/* Make the folders that the path lies in, as far as they are not there. */
bool s24m_path_make_parents(const char *path);
/* What was written to a descriptor, or a folder's entries, are on disk; true where the file system
 * has nothing to do for that. errno tells why not. */
bool s24m_path_sync(int file);
bool s24m_path_sync_folder(const char *path);

#endif
