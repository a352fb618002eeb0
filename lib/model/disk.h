/* Room on the disk that a path lies on. */
#ifndef S24M_DISK_H
#define S24M_DISK_H
#include <stdbool.h>
#include <stdint.h>

/* Bytes that may still be written where `path` is or will be; UINT64_MAX: nobody knows. */
uint64_t s24m_disk_free(const char *path);
/* Bytes that the files of a folder take; 0 if there is none. */
uint64_t s24m_disk_used(const char *folder);
/* There are so many bytes; if not, S24_E_IO tells how many there are. */
bool s24m_disk_check(const char *path, uint64_t wanted);

#endif
